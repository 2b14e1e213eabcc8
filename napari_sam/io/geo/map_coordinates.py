"""Conversion between pixels, map coordinates and longitude and latitude."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from napari_sam.io.geo.crs import known_crs, parse_crs

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Project = Callable[[Array, Array], tuple[Array, Array]]

LON_LAT = "EPSG:4326"
LONGITUDE_LIMIT, LATITUDE_LIMIT = 540.0, 91.0

Number = TypeVar("Number", float, "NDArray[np.float64]", "pd.Series[float]")


def to_map(transform: tuple[float, ...], x: Number, y: Number) -> tuple[Number, Number]:
    """Return the map coordinates of image positions.

    Parameters
    ----------
    transform : tuple of float
        Affine (a, b, c, d, e, f) from (column, row) to map coordinates.
    x, y : float or array
        Column and row, counted from the outer corner of the first pixel.

    Examples
    --------
    >>> to_map((0.5, 0.0, 100.0, 0.0, -0.5, 200.0), 4, 10)
    (102.0, 195.0)
    """
    a, b, c, d, e, f = transform
    return a * x + b * y + c, d * x + e * y + f


def pixel_size(transform: tuple[float, ...]) -> tuple[float, float]:
    """Return the length of a pixel along rows (y) and columns (x) in map units, also for a rotated image.

    >>> pixel_size((3.0, 4.0, 100.0, 4.0, -3.0, 200.0))
    (5.0, 5.0)
    """
    a, b, _, d, e, _ = transform
    return math.hypot(b, e) or 1.0, math.hypot(a, d) or 1.0


def control_points_text(count: int) -> str:
    """Return what ground control points that no affine fits mean for results, and what to do."""
    return (
        f"{count} ground control points that no affine fits: results are in pixels; for map coordinates, warp the "
        "image first, such as with gdalwarp"
    )


def is_geographic(code: int, transform: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    """Return whether an EPSG code stands for longitude and latitude.

    For a code that pyproj does not know, the extent of the image decides: no projected image lies within 360 m of its
    map's origin.

    Parameters
    ----------
    code : int
        EPSG code.
    transform : tuple of float
        As for `to_map`.
    shape : (int, int)
        Height and width of the image.
    """
    crs = known_crs(f"EPSG:{code}")
    if crs is not None:
        return bool(crs.is_geographic)
    return are_degrees(transform, shape)


def are_degrees(transform: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    """Return whether the map coordinates of an image (..., y, x) can be longitudes and latitudes.

    Maps may go on beyond 180 degrees, and pixels a little beyond a pole.
    """
    corners = [to_map(transform, x, y) for x in (0.0, float(shape[-1])) for y in (0.0, float(shape[-2]))]
    return all(abs(x) <= LONGITUDE_LIMIT and abs(y) <= LATITUDE_LIMIT for x, y in corners)


def projection(source: str, target: str) -> Project:
    """Return the function from (x, y) in one CRS to (x, y) in another; longitude comes before latitude.

    Parameters
    ----------
    source, target : str
        Any form of CRS that pyproj accepts.

    Raises
    ------
    ValueError
        If one of the two is not a known CRS, or neither can be converted to the other.
    """
    import pyproj  # noqa: PLC0415 - slow to import

    if source.upper() == target.upper():
        return lambda x, y: (x, y)
    try:
        transformer = pyproj.Transformer.from_crs(parse_crs(source), parse_crs(target), always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise ValueError(str(error)) from error
    project: Project = transformer.transform
    return project
