"""The position of a GeoTIFF on the map, read from and written to its tags without GDAL."""

from __future__ import annotations

import math
from typing import Any

from napari_sam.io.map_coordinates import epsg_code, is_geographic

_USER_DEFINED = 32767
_PIXEL_IS_POINT = 2
_PROJECTED, _GEOGRAPHIC = 1, 2
_DOUBLE, _ASCII, _SHORT = 12, 2, 3

Tag = tuple[int, int, int, Any, bool]


def read_geo_tags(page: Any) -> tuple[str | None, tuple[float, ...] | None]:
    """Return CRS and affine of a GeoTIFF page.

    Parameters
    ----------
    page : tifffile.TiffPage
        Page of level 0: overview pages often lack these tags.

    Returns
    -------
    crs : str or None
        "EPSG:...", or the file's own text for a CRS without a code.
    transform : tuple of float or None
        (a, b, c, d, e, f) from (column, row) of a pixel's outer corner to map coordinates.
    """
    try:
        tags = page.geotiff_tags or {}
        return _crs(tags), _affine(tags)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
        return None, None  # broken tags must not prevent reading the pixels


def make_geo_tags(crs: str | None, transform: tuple[float, ...], shape: tuple[int, ...]) -> list[Tag]:
    """Return the GeoTIFF tags of an image in tifffile's form: code, type, count, value, only on the first page.

    Parameters
    ----------
    crs : str or None
        "EPSG:...", or a description.
    transform : tuple of float
        (a, b, c, d, e, f) from (column, row) of a pixel's outer corner to map coordinates.
    shape : (int, int)
        Height and width in pixels.
    """
    a, b, c, d, e, f = transform
    if b == d == 0 and a > 0 > e:
        tags: list[Tag] = [
            (33550, _DOUBLE, 3, (a, -e, 0.0), True),
            (33922, _DOUBLE, 6, (0.0, 0.0, 0.0, c, f, 0.0), True),
        ]
    else:
        matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        tags = [(34264, _DOUBLE, 16, matrix, True)]
    keys, text = _geo_keys(crs, transform, shape)
    directory = (1, 1, 0, len(keys), *(v for key in keys for v in key))
    tags.append((34735, _SHORT, len(directory), directory, True))
    if text:
        tags.append((34737, _ASCII, len(text) + 1, text, True))
    return tags


def _geo_keys(
    crs: str | None, transform: tuple[float, ...], shape: tuple[int, ...]
) -> tuple[list[tuple[int, int, int, int]], str]:
    """Return the geo keys in ascending order, and the text that they refer to."""
    pixel_is_area = (1025, 0, 1, 1)
    code = epsg_code(crs)
    if code is not None and code < _USER_DEFINED:
        geographic = is_geographic(code, transform, shape)
        kind, key = (_GEOGRAPHIC, 2048) if geographic else (_PROJECTED, 3072)
        return [(1024, 0, 1, kind), pixel_is_area, (key, 0, 1, code)], ""
    text = (crs or "").encode("ascii", "replace").decode().replace("|", "/")
    if not text:
        return [pixel_is_area], ""
    text += "|"
    return [(1024, 0, 1, _USER_DEFINED), pixel_is_area, (1026, 34737, len(text), 0)], text


def _crs(tags: dict[str, Any]) -> str | None:
    for name in ("ProjectedCSTypeGeoKey", "GeographicTypeGeoKey"):
        code = tags.get(name)
        if code is not None and 0 < int(code) < _USER_DEFINED:
            return f"EPSG:{int(code)}"
    for name in ("PCSCitationGeoKey", "GTCitationGeoKey", "GeogCitationGeoKey"):
        if isinstance(tags.get(name), str) and tags[name].strip():
            return str(tags[name]).strip()
    return None


def _affine(tags: dict[str, Any]) -> tuple[float, ...] | None:
    matrix = tags.get("ModelTransformation")
    if matrix is not None:
        m = _flat(matrix)
        affine = (m[0], m[1], m[3], m[4], m[5], m[7])
    else:
        pitch, tie = tags.get("ModelPixelScale"), tags.get("ModelTiepoint")
        if pitch is None or tie is None:
            return None
        point = _flat(tie)
        if len(point) != 6:  # several ground control points, which an affine cannot describe
            return None
        dx, dy = float(pitch[0]), float(pitch[1])
        affine = (dx, 0.0, point[3] - point[0] * dx, 0.0, -dy, point[4] + point[1] * dy)
    if not all(math.isfinite(v) for v in affine):
        return None
    a, b, c, d, e, f = affine
    if int(tags.get("GTRasterTypeGeoKey") or 1) == _PIXEL_IS_POINT:  # the tags refer to pixel centres
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return a, b, c, d, e, f


def _flat(values: Any) -> list[float]:
    """Return the numbers of a flat or nested sequence."""
    return [float(v) for row in values for v in (row if hasattr(row, "__len__") else (row,))]
