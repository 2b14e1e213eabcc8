"""The position of a GeoTIFF on the map, read from and written to its tags without GDAL."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.io.geo import geo_keys
from napari_sam.io.geo.crs import crs_name, epsg_code, known_crs
from napari_sam.io.geo.map_coordinates import is_geographic, pixel_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tifffile import TiffPage

    from napari_sam.io.json_types import JsonObject

    Affine = tuple[float, float, float, float, float, float]

_PIXEL_SCALE, _TIE_POINTS, _MATRIX = 33550, 33922, 34264
_PIXEL_IS_POINT = 2
_DOUBLE, _ASCII, _SHORT = 12, 2, 3
_TIE_NUMBERS = 6  # column, row, depth, x, y, z
_FIT_PX = 0.25  # largest error of an affine through ground control points, as in GDAL
_TEXT_LIMIT = 60_000

_BROKEN = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)  # errors of broken tags

Tag = tuple[int, int, int, Any, bool]


@dataclass(frozen=True)
class MapPosition:
    """Where an image lies on the map.

    Attributes
    ----------
    crs : str or None
        Code, WKT, or the file's own name of a system that it does not describe.
    transform : tuple of float or None
        (a, b, c, d, e, f) from (column, row) of a pixel's outer corner to map coordinates.
    control_points : int
        Number of ground control points that no affine fits; positions on the map are then unknown.
    """

    crs: str | None = None
    transform: tuple[float, ...] | None = None
    control_points: int = 0

    def as_json(self) -> JsonObject:
        """Return the position as files keep it."""
        transform = None if self.transform is None else list(self.transform)
        return {"crs": self.crs, "transform": transform, "control_points": self.control_points}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> MapPosition:
        """Return the position that `as_json` made; names that are missing or null are unknown.

        Raises
        ------
        ValueError, TypeError
            If the content is broken.
        """
        numbers, crs = content.get("transform"), content.get("crs")
        affine: Affine | None = None
        if numbers:
            a, b, c, d, e, f = (float(v) for v in numbers)
            affine = (a, b, c, d, e, f)
            if not is_usable(affine):
                raise ValueError(f"transform {numbers!r}")
        return cls(None if crs is None else str(crs), affine, int(content.get("control_points") or 0))


def read_geo_tags(page: TiffPage) -> MapPosition:
    """Return the map position of a GeoTIFF page.

    Parameters
    ----------
    page : tifffile.TiffPage
        Page of level 0: overview pages often lack these tags.
    """
    try:
        crs = geo_keys.crs_of_keys(_keys(page))
    except _BROKEN:
        crs = None
    try:
        transform, points = _affine(page)
    except _BROKEN:
        transform, points = None, 0
    return MapPosition(crs, transform, points)


def make_geo_tags(crs: str | None, transform: tuple[float, ...], shape: tuple[int, ...]) -> list[Tag]:
    """Return the GeoTIFF tags of an image in tifffile's form: code, type, count, value, only on the first page.

    Parameters
    ----------
    crs : str or None
        "EPSG:...", WKT, or a description.
    transform : tuple of float
        (a, b, c, d, e, f) from (column, row) of a pixel's outer corner to map coordinates.
    shape : (int, int)
        Height and width in pixels.
    """
    a, b, c, d, e, f = transform
    if b == d == 0 and a > 0 > e:
        tags: list[Tag] = [
            (_PIXEL_SCALE, _DOUBLE, 3, (a, -e, 0.0), True),
            (_TIE_POINTS, _DOUBLE, 6, (0.0, 0.0, 0.0, c, f, 0.0), True),
        ]
    else:
        matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        tags = [(_MATRIX, _DOUBLE, 16, matrix, True)]
    keys, text = _geo_keys(crs, transform, shape)
    directory = (1, 1, 0, len(keys), *(v for key in keys for v in key))
    tags.append((geo_keys.DIRECTORY, _SHORT, len(directory), directory, True))
    if text:
        tags.append((geo_keys.TEXTS, _ASCII, len(text) + 1, text, True))
    return tags


def _geo_keys(
    crs: str | None, transform: tuple[float, ...], shape: tuple[int, ...]
) -> tuple[list[tuple[int, int, int, int]], str]:
    """Return the geo keys in ascending order, and the text that they refer to."""
    pixel_is_area = (geo_keys.RASTER, 0, 1, 1)
    code = epsg_code(crs)
    if code is not None and code < geo_keys.USER_DEFINED:
        geographic = is_geographic(code, transform, shape)
        kind = geo_keys.MODEL_GEOGRAPHIC if geographic else geo_keys.MODEL_PROJECTED
        key = geo_keys.GEOGRAPHIC if geographic else geo_keys.PROJECTED
        return [(geo_keys.MODEL, 0, 1, kind), pixel_is_area, (key, 0, 1, code)], ""
    if not crs:
        return [pixel_is_area], ""
    citation = _ascii(crs_name(crs)) + "|"
    keys = [
        (geo_keys.MODEL, 0, 1, geo_keys.USER_DEFINED),
        pixel_is_area,
        (geo_keys.CITATION, geo_keys.TEXTS, len(citation), 0),
    ]
    spelled = _esri_text(crs)
    if spelled:  # where GDAL looks for it, also if the system is geographic
        keys.append((geo_keys.PROJECTED_CITATION, geo_keys.TEXTS, len(spelled), len(citation)))
    return keys, citation + spelled


def _esri_text(crs: str) -> str:
    """Return a CRS without EPSG code as the citation that GDAL and ArcGIS read; empty if there is no such text."""
    import pyproj  # noqa: PLC0415 - slow to import

    known = known_crs(crs)
    if known is None or not (known.is_geographic or known.is_projected):
        return ""
    try:
        text = known.to_wkt("WKT1_ESRI") or ""
    except pyproj.exceptions.CRSError:
        return ""
    return f"{geo_keys.ESRI_TEXT}{_ascii(text)}|" if 0 < len(text) < _TEXT_LIMIT else ""


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode().replace("|", "/")


def _keys(page: TiffPage) -> geo_keys.GeoKeys:
    texts = _value(page, geo_keys.TEXTS)
    numbers = _numbers(page, geo_keys.DIRECTORY), _numbers(page, geo_keys.DOUBLES)
    return geo_keys.parse_geo_keys(*numbers, texts if isinstance(texts, str) else "")


def _affine(page: TiffPage) -> tuple[Affine | None, int]:
    """Return the affine of a page, and the number of its ground control points if no affine fits them."""
    pitch, ties, matrix = (_numbers(page, code) for code in (_PIXEL_SCALE, _TIE_POINTS, _MATRIX))
    affine: Affine | None = None
    if len(pitch) >= 2 and pitch[0] and pitch[1] and len(ties) >= _TIE_NUMBERS:
        dx, dy = float(pitch[0]), -abs(float(pitch[1]))
        affine = (dx, 0.0, ties[3] - ties[0] * dx, 0.0, dy, ties[4] - ties[1] * dy)
    elif len(matrix) == 16:
        affine = (matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7])
    elif len(ties) >= 3 * _TIE_NUMBERS:
        points = np.array(ties[: len(ties) // _TIE_NUMBERS * _TIE_NUMBERS], float).reshape(-1, _TIE_NUMBERS)
        affine = fit_control_points(points[:, [0, 1, 3, 4]])
        if affine is None:
            return None, len(points)
    if affine is None or not is_usable(affine):
        return None, 0
    a, b, c, d, e, f = (float(v) for v in affine)
    if _keys(page).codes.get(geo_keys.RASTER) == _PIXEL_IS_POINT:  # the tags refer to pixel centres
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return (a, b, c, d, e, f), 0


def is_usable(affine: Sequence[float]) -> bool:
    """Return whether an affine is finite and can be inverted."""
    a, b, _, d, e, _ = affine
    return all(math.isfinite(v) for v in affine) and a * e - b * d != 0


def fit_control_points(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Affine | None:
    """Return the affine through ground control points (column, row, x, y); None if one is a quarter pixel beside it."""
    if len(points) < 3 or not np.isfinite(points).all():
        return None
    middle = points.mean(0)
    centred = points - middle  # loses no digits
    solution, _, rank, _ = np.linalg.lstsq(centred[:, :2], centred[:, 2:], rcond=None)
    if rank < 2:
        return None
    errors = np.abs(centred[:, :2] @ solution - centred[:, 2:])
    (a, d), (b, e) = solution.tolist()
    c, f = (middle[2:] - middle[:2] @ solution).tolist()
    size_y, size_x = pixel_size((a, b, c, d, e, f))
    return (a, b, c, d, e, f) if (errors <= _FIT_PX * min(size_x, size_y)).all() else None


def _value(page: TiffPage, code: int) -> object:
    tag = page.tags.get(code)
    return None if tag is None else tag.value


def _numbers(page: TiffPage, code: int) -> tuple[Any, ...]:
    """Return the numbers of a tag, empty without it."""
    value = _value(page, code)
    if value is None or isinstance(value, str | bytes):
        return ()
    return tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value,)
