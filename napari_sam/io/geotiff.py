"""Where a GeoTIFF lies on the ground, without GDAL."""

from __future__ import annotations

import math
from typing import Any

_USER_DEFINED = 32767
_PIXEL_IS_POINT = 2


def geo_of(page: Any) -> tuple[str | None, tuple[float, ...] | None]:
    """CRS and affine of a GeoTIFF page.

    Parameters
    ----------
    page : tifffile.TiffPage
        Of level 0: overview pages often lack these keys.

    Returns
    -------
    (str or None, tuple of float or None)
        "EPSG:...", or the file's own words for a CRS without a code; (a, b, c, d, e, f) from (column, row) of a
        pixel's outer corner to map coordinates.
    """
    try:
        tags = page.geotiff_tags or {}
        return _crs(tags), _affine(tags)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
        return None, None  # keys that nobody can read do not hide the picture


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
        m = [float(v) for row in matrix for v in (row if hasattr(row, "__len__") else (row,))]
        found = (m[0], m[1], m[3], m[4], m[5], m[7])
    else:
        pitch, tie = tags.get("ModelPixelScale"), tags.get("ModelTiepoint")
        if pitch is None or tie is None:
            return None
        flat = [float(v) for point in tie for v in (point if hasattr(point, "__len__") else (point,))]
        if len(flat) != 6:  # ground control points, which no affine describes
            return None
        dx, dy = float(pitch[0]), float(pitch[1])
        found = (dx, 0.0, flat[3] - flat[0] * dx, 0.0, -dy, flat[4] + flat[1] * dy)
    if not all(math.isfinite(v) for v in found):
        return None
    a, b, c, d, e, f = found
    if int(tags.get("GTRasterTypeGeoKey") or 1) == _PIXEL_IS_POINT:  # the keys speak of pixel centres
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return a, b, c, d, e, f


def pixel_size(transform: tuple[float, ...]) -> tuple[float, float]:
    """Length of a pixel along rows (y) and columns (x), in the units of the map; works when rotated, too.

    >>> pixel_size((3.0, 4.0, 100.0, 4.0, -3.0, 200.0))
    (5.0, 5.0)
    """
    a, b, _, d, e, _ = transform
    return math.hypot(b, e) or 1.0, math.hypot(a, d) or 1.0
