"""The coordinate reference system in a GeoTIFF's key directory, with or without a code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from napari_sam.io.geo.crs import crs_text, known_crs
from napari_sam.io.geo.map_projections import projection_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyproj import CRS

DIRECTORY, DOUBLES, TEXTS = 34735, 34736, 34737
USER_DEFINED = 32767
MODEL, RASTER, CITATION = 1024, 1025, 1026
GEOGRAPHIC, GEOGRAPHIC_CITATION, DATUM, PRIME_MERIDIAN, ANGULAR_UNIT, ANGULAR_SIZE = 2048, 2049, 2050, 2051, 2054, 2055
ELLIPSOID, SEMI_MAJOR, SEMI_MINOR, INVERSE_FLATTENING, MERIDIAN_LONGITUDE, TO_WGS84 = 2056, 2057, 2058, 2059, 2061, 2062
PROJECTED, PROJECTED_CITATION, CONVERSION, METHOD, LINEAR_UNIT, LINEAR_SIZE = 3072, 3073, 3074, 3075, 3076, 3077
MODEL_PROJECTED, MODEL_GEOGRAPHIC, MODEL_GEOCENTRIC = 1, 2, 3
ESRI_TEXT = "ESRI PE String = "
_DEGREE, _METRE = 9102, 9001
_WGS84_TERMS = 7


@dataclass(frozen=True)
class GeoKeys:
    """Values of a key directory.

    Attributes
    ----------
    codes : dict of int to int
        Keys whose value is a code.
    numbers : dict of int to float
        Keys whose value is a number.
    lists : dict of int to list of float
        The same, with all numbers of a key.
    texts : dict of int to str
        Keys whose value is a text.
    """

    codes: dict[int, int] = field(default_factory=dict)
    numbers: dict[int, float] = field(default_factory=dict)
    lists: dict[int, list[float]] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)

    def code(self, key: int) -> int | None:
        """Return a code; None if the key is missing, undefined (0) or user-defined (32767)."""
        code = self.codes.get(key)
        return code if code and code != USER_DEFINED else None

    @property
    def is_projected(self) -> bool:
        """Whether map coordinates are lengths on a plane rather than angles."""
        described = any(key in self.codes for key in (PROJECTED, CONVERSION, METHOD))
        return described if self.code(MODEL) is None else self.codes[MODEL] == MODEL_PROJECTED


def parse_geo_keys(directory: Sequence[int], doubles: Sequence[float], texts: str) -> GeoKeys:
    """Return the values of a key directory.

    Parameters
    ----------
    directory : sequence of int
        Value of tag 34735: a header of four numbers, then four for each key.
    doubles : sequence of float
        Value of tag 34736.
    texts : str
        Value of tag 34737.
    """
    keys = GeoKeys()
    stop = min(len(directory), 4 + 4 * int(directory[3])) if len(directory) > 3 else 0
    for start in range(4, stop - 3, 4):
        key, place, count, value = (int(n) for n in directory[start : start + 4])
        if place == 0:
            keys.codes[key] = value
        elif place == DOUBLES and count and value < len(doubles):
            keys.lists[key] = [float(n) for n in doubles[value : value + count]]
            keys.numbers[key] = keys.lists[key][0]
        elif place == TEXTS:
            keys.texts[key] = texts[value : value + count].rstrip("|\0 ").strip()
    return keys


def crs_of_keys(keys: GeoKeys) -> str | None:
    """Return the CRS of a key directory: a code, WKT, or the file's own name of a system that it does not describe.

    A projected system is never replaced by the geographic system that it is based on: its coordinates are lengths.
    """
    described = _quoted_crs(keys)
    if described is None and keys.codes.get(MODEL) != MODEL_GEOCENTRIC:
        described = _projected(keys) if keys.is_projected else _geographic(keys)
    if described is not None:
        return described if isinstance(described, str) else crs_text(described)
    names = (keys.texts.get(key, "") for key in (PROJECTED_CITATION, CITATION, GEOGRAPHIC_CITATION))
    return next((name for name in names if name), None)


def _quoted_crs(keys: GeoKeys) -> CRS | None:
    """Return a CRS that a citation spells out: ESRI's WKT, or a code or WKT that this program wrote."""
    if keys.code(PROJECTED) is not None:
        return None
    for key in (PROJECTED_CITATION, CITATION, GEOGRAPHIC_CITATION):
        text = keys.texts.get(key, "")
        if ESRI_TEXT in text:
            return known_crs(text.partition(ESRI_TEXT)[2])
        if key == CITATION and any(mark in text for mark in ('["', "+proj=", "EPSG:", "ESRI:")):
            return known_crs(text)
    return None


def _projected(keys: GeoKeys) -> CRS | str | None:
    code = keys.code(PROJECTED)
    unit = _linear_unit(keys)
    if code is not None:
        crs = known_crs(f"EPSG:{code}") or known_crs(f"ESRI:{code}")
        if crs is None:
            return f"EPSG:{code}"
        return crs if unit is None else _in_unit(crs, *unit)
    base = _geographic(keys)
    if base is None or isinstance(base, str):
        return None
    conversion = keys.code(CONVERSION)
    name = keys.texts.get(PROJECTED_CITATION) or keys.texts.get(CITATION) or "unnamed"
    unit_name, metres = unit or ("metre", 1.0)
    if conversion is not None:
        crs = _converted(base, conversion, name)
        return crs if crs is None or unit is None else _in_unit(crs, unit_name, metres)
    method = keys.codes.get(METHOD)
    angle = _angular_unit(keys)[1] / base.axis_info[0].unit_conversion_factor  # WKT 1 has parameters in the base's unit
    projection = None if method is None else projection_text(method, keys.numbers, angle)
    if projection is None:
        return None
    geographic = base.to_wkt("WKT1_GDAL")
    return known_crs(f'PROJCS["{_quoted(name)}",{geographic},{projection},UNIT["{unit_name}",{metres!r}]]')


def _converted(base: CRS, conversion: int, name: str) -> CRS | None:
    """Return the CRS of a projection with a code, such as 16032 for UTM zone 32 north."""
    import pyproj  # noqa: PLC0415 - slow to import

    try:
        operation = pyproj.crs.CoordinateOperation.from_epsg(conversion)
        return pyproj.CRS.from_wkt(pyproj.crs.ProjectedCRS(operation, name, geodetic_crs=base).to_wkt())
    except (pyproj.exceptions.CRSError, pyproj.exceptions.ProjError):
        return None


def _geographic(keys: GeoKeys) -> CRS | str | None:
    code = keys.code(GEOGRAPHIC)
    if code is not None:
        return known_crs(f"EPSG:{code}") or f"EPSG:{code}"
    datum = keys.code(DATUM)
    named = None if datum is None else _geographic_of_datum(datum)
    return named if named is not None else _geographic_of_ellipsoid(keys)


def _geographic_of_datum(code: int) -> CRS | None:
    import pyproj  # noqa: PLC0415 - slow to import

    try:
        return pyproj.crs.GeographicCRS(pyproj.crs.Datum.from_epsg(code).name, datum=pyproj.crs.Datum.from_epsg(code))
    except pyproj.exceptions.CRSError:
        return None


def _geographic_of_ellipsoid(keys: GeoKeys) -> CRS | None:
    """Return the CRS on an ellipsoid that the keys name or measure; None if they do neither."""
    axes = _ellipsoid(keys)
    if axes is None:
        return None
    name = _quoted(keys.texts.get(GEOGRAPHIC_CITATION) or "unnamed")
    shift = keys.lists.get(TO_WGS84, [])
    to_wgs84 = ",TOWGS84[" + ",".join(map(repr, [*shift, *[0.0] * 7][:_WGS84_TERMS])) + "]" if shift else ""
    unit, radians = _angular_unit(keys)
    meridian = keys.numbers.get(MERIDIAN_LONGITUDE, 0.0)
    return known_crs(
        f'GEOGCS["{name}",DATUM["unnamed",SPHEROID["unnamed",{axes[0]!r},{axes[1]!r}]{to_wgs84}],'
        f'PRIMEM["{"unnamed" if meridian else "Greenwich"}",{meridian!r}],UNIT["{unit}",{radians!r}]]'
    )


def _ellipsoid(keys: GeoKeys) -> tuple[float, float] | None:
    """Return semi-major axis in metres and inverse flattening, 0 for a sphere."""
    a, b, inverse = (keys.numbers.get(key) for key in (SEMI_MAJOR, SEMI_MINOR, INVERSE_FLATTENING))
    if a is not None and a > 0:
        if inverse is None and b is not None and b > 0:
            inverse = 0.0 if a == b else a / (a - b)
        return a, inverse or 0.0
    code = keys.code(ELLIPSOID)
    return None if code is None else _known_ellipsoid(code)


def _known_ellipsoid(code: int) -> tuple[float, float] | None:
    import pyproj  # noqa: PLC0415 - slow to import

    try:
        known = pyproj.crs.Ellipsoid.from_epsg(code)
    except pyproj.exceptions.CRSError:
        return None
    return float(known.semi_major_metre), float(known.inverse_flattening)


def _linear_unit(keys: GeoKeys) -> tuple[str, float] | None:
    """Return the name of the map's unit and its length in metres, if the keys state it."""
    size = keys.numbers.get(LINEAR_SIZE)
    if keys.codes.get(LINEAR_UNIT) == USER_DEFINED and size is not None and size > 0:
        return "unnamed", size
    return _unit(keys.code(LINEAR_UNIT), "linear")


def _angular_unit(keys: GeoKeys) -> tuple[str, float]:
    """Return the name of the unit of angles and its size in radians."""
    size = keys.numbers.get(ANGULAR_SIZE)
    if keys.codes.get(ANGULAR_UNIT) == USER_DEFINED and size is not None and size > 0:
        return "unnamed", size
    return _unit(keys.code(ANGULAR_UNIT), "angular") or ("degree", math.radians(1))


@lru_cache(maxsize=16)
def _unit(code: int | None, category: str) -> tuple[str, float] | None:
    """Return name and size in metres or radians of a unit of the EPSG."""
    if code in (_METRE, _DEGREE):
        return ("metre", 1.0) if code == _METRE else ("degree", math.radians(1))
    import pyproj.database  # noqa: PLC0415 - slow to import

    units = pyproj.database.get_units_map(auth_name="EPSG", category=category)
    return next(((u.name, float(u.conv_factor)) for u in units.values() if str(u.code) == str(code)), None)


def _in_unit(crs: CRS, name: str, metres: float) -> CRS:
    """Return a projected CRS with its axes in another unit; the same CRS if they are in it already."""
    import pyproj  # noqa: PLC0415 - slow to import

    axes = crs.axis_info
    if not crs.is_projected or not axes or math.isclose(axes[0].unit_conversion_factor, metres, rel_tol=1e-9):
        return crs
    described: dict[str, Any] = crs.to_json_dict()
    described.pop("id", None)
    described["name"] += f" ({name})"
    for axis in described["coordinate_system"]["axis"]:
        axis["unit"] = {"type": "LinearUnit", "name": name, "conversion_factor": metres}
    return pyproj.CRS.from_json_dict(described)


def _quoted(name: str) -> str:
    return name.replace('"', '""')
