"""Projections that GeoTIFF describes by a method and its parameters, as WKT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# GeoKeys of projection parameters. Writers choose between "natural origin", "false origin" and "centre" rather freely,
# so that for each parameter of WKT several keys are tried in this order.
_LATITUDE = (3081, 3085, 3089)
_LONGITUDE = (3080, 3084, 3088, 3095)
_POLE_LONGITUDE = (3095, 3080, 3084, 3088)
_CENTRE_LATITUDE, _CENTRE_LONGITUDE = (3089, 3081, 3085), (3088, 3080, 3084)
_PARALLEL_1, _PARALLEL_2 = (3078,), (3079,)
_SCALE = (3092, 3093)
_AZIMUTH, _GRID_ANGLE = (3094,), (3096,)
_EASTING, _NORTHING = (3082, 3086, 3090), (3083, 3087, 3091)


@dataclass(frozen=True)
class Method:
    """A map projection of GeoTIFF.

    Attributes
    ----------
    name : str
        Its name in WKT 1.
    angles : dict of str to tuple of int
        GeoKeys, by WKT parameter, of its angles.
    scale : bool
        Whether it has a scale factor.
    """

    name: str
    angles: Mapping[str, tuple[int, ...]]
    scale: bool = False


_ORIGIN = {"latitude_of_origin": _LATITUDE, "central_meridian": _LONGITUDE}
_CENTRE = {"latitude_of_center": _CENTRE_LATITUDE, "longitude_of_center": _CENTRE_LONGITUDE}
_PARALLELS = {"standard_parallel_1": _PARALLEL_1, "standard_parallel_2": _PARALLEL_2}
_OBLIQUE = {**_CENTRE, "azimuth": _AZIMUTH, "rectified_grid_angle": _GRID_ANGLE}

METHODS = {
    1: Method("Transverse_Mercator", _ORIGIN, scale=True),
    3: Method("Hotine_Oblique_Mercator", _OBLIQUE, scale=True),
    4: Method("Laborde_Oblique_Mercator", {**_CENTRE, "azimuth": _AZIMUTH}, scale=True),
    7: Method("Mercator_1SP", _ORIGIN, scale=True),
    8: Method(
        "Lambert_Conformal_Conic_2SP",
        {"latitude_of_origin": (3085, 3081, 3089), "central_meridian": (3084, 3080, 3088), **_PARALLELS},
    ),
    9: Method("Lambert_Conformal_Conic_1SP", _ORIGIN, scale=True),
    10: Method("Lambert_Azimuthal_Equal_Area", _CENTRE),
    11: Method("Albers_Conic_Equal_Area", {**_PARALLELS, **_CENTRE}),
    12: Method("Azimuthal_Equidistant", _CENTRE),
    13: Method("Equidistant_Conic", {**_CENTRE, **_PARALLELS}),
    14: Method("Stereographic", _ORIGIN, scale=True),
    15: Method(
        "Polar_Stereographic", {"latitude_of_origin": _LATITUDE, "central_meridian": _POLE_LONGITUDE}, scale=True
    ),
    16: Method("Oblique_Stereographic", _ORIGIN, scale=True),
    17: Method("Equirectangular", {"standard_parallel_1": _PARALLEL_1, **_ORIGIN}),
    18: Method("Cassini_Soldner", _ORIGIN),
    19: Method("Gnomonic", _ORIGIN),
    20: Method("Miller_Cylindrical", _CENTRE),
    21: Method("Orthographic", _ORIGIN),
    22: Method("Polyconic", _ORIGIN),
    23: Method("Robinson", {"longitude_of_center": _CENTRE_LONGITUDE}),
    24: Method("Sinusoidal", {"longitude_of_center": _CENTRE_LONGITUDE}),
    25: Method("VanDerGrinten", {"central_meridian": _LONGITUDE}),
    26: Method("New_Zealand_Map_Grid", _ORIGIN),
    27: Method("Transverse_Mercator_South_Orientated", _ORIGIN, scale=True),
    28: Method("Cylindrical_Equal_Area", {"standard_parallel_1": _PARALLEL_1, "central_meridian": _LONGITUDE}),
    9815: Method("Hotine_Oblique_Mercator_Azimuth_Center", _OBLIQUE, scale=True),
}
"""Projections by GeoTIFF's code of the coordinate transformation (ProjCoordTransGeoKey)."""

_MERCATOR, _MERCATOR_2SP = 7, Method("Mercator_2SP", {"standard_parallel_1": _PARALLEL_1, **_ORIGIN})


def projection_text(code: int, numbers: Mapping[int, float], angle: float) -> str | None:
    """Return PROJECTION and its PARAMETERs in WKT 1; None for an unknown method.

    Parameters
    ----------
    code : int
        GeoTIFF's code of the method.
    numbers : dict of int to float
        Values of the GeoKeys.
    angle : float
        Size of the values' angular unit in that of the geographic system.
    """
    method = METHODS.get(code)
    if code == _MERCATOR and 3078 in numbers and not any(key in numbers for key in _SCALE):
        method = _MERCATOR_2SP
    if method is None:
        return None
    values = {name: angle * _first(numbers, keys, 0.0) for name, keys in method.angles.items()}
    if "rectified_grid_angle" in values and 3096 not in numbers:
        values["rectified_grid_angle"] = 90.0
    if method.scale:
        values["scale_factor"] = _first(numbers, _SCALE, 1.0) or 1.0
    values |= {"false_easting": _first(numbers, _EASTING, 0.0), "false_northing": _first(numbers, _NORTHING, 0.0)}
    parameters = "".join(f',PARAMETER["{name}",{value!r}]' for name, value in values.items())
    return f'PROJECTION["{method.name}"]{parameters}'


def _first(numbers: Mapping[int, float], keys: tuple[int, ...], default: float) -> float:
    return next((numbers[key] for key in keys if key in numbers), default)
