"""Conversion between pixels, map coordinates and longitude and latitude."""

from __future__ import annotations

import math
import re
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Project = Callable[[Array, Array], tuple[Array, Array]]

LON_LAT = "EPSG:4326"

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


def epsg_code(crs: str | None) -> int | None:
    """Return the code of a CRS such as "EPSG:32632"; None if it has none.

    >>> epsg_code("epsg:32632")
    32632
    """
    match = re.fullmatch(r"(?i)epsg:(\d{1,9})", (crs or "").strip())
    return int(match.group(1)) if match else None


def is_geographic(code: int, transform: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    """Return whether an EPSG code stands for longitude and latitude.

    Without pyproj the extent of the image decides: no projected image lies within 360 m of its map's origin.

    Parameters
    ----------
    code : int
        EPSG code.
    transform : tuple of float
        As for `to_map`.
    shape : (int, int)
        Height and width of the image.
    """
    try:
        pyproj = import_module("pyproj")
        return bool(pyproj.CRS.from_epsg(code).is_geographic)
    except (ImportError, RuntimeError):  # pyproj's CRSError is a RuntimeError
        corners = [to_map(transform, x, y) for x in (0, shape[1]) for y in (0, shape[0])]
        return all(abs(x) <= 360 and abs(y) <= 90 for x, y in corners)


def well_known_text(crs: str) -> str:
    """Return the WKT 1 of a CRS; without pyproj "undefined" for an EPSG code, which readers look up, else `crs`."""
    try:
        pyproj = import_module("pyproj")
        return str(pyproj.CRS.from_user_input(crs).to_wkt("WKT1_GDAL"))
    except (ImportError, RuntimeError):
        return "undefined" if epsg_code(crs) is not None else crs


def projection(source: str, target: str) -> Project:
    """Return the function from (x, y) in one CRS to (x, y) in another; longitude comes before latitude.

    Parameters
    ----------
    source, target : str
        Any form of CRS that pyproj accepts; if both are the same, pyproj is not needed.

    Raises
    ------
    ImportError
        If pyproj is not installed.
    ValueError
        If one of the two is not a known CRS.
    """
    if source.upper() == target.upper():
        return lambda x, y: (x, y)
    pyproj = import_module("pyproj")
    try:
        transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    except pyproj.exceptions.CRSError as error:
        raise ValueError(str(error)) from error
    project: Project = transformer.transform
    return project
