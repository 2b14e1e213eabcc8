"""Areas on the ground, in square metres, of pixels on a map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.io.geo.crs import known_crs, metres_per_unit
from napari_sam.io.geo.map_coordinates import are_degrees, pixel_size, to_map
from napari_sam.io.pixel_runs import PixelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_TOLERANCE = 0.01  # of the areas of a projection, beyond which areas on the map do not stand for those on the ground
_UNIFORM = 1e-3  # variation of the pixel's area within an object, up to which that at its centre stands for all
_ONE_PIXEL = PixelRuns(*np.array([[0], [0], [1]]))
_REACH_M = 100.0  # side of the square whose area is computed: small differences of coordinates lose digits


class GroundArea(Protocol):
    """Areas of objects in square metres."""

    pixel_area: float | None
    """Area of a pixel in square metres, if it is the same everywhere."""
    pixel_side: float | None
    """Side of a pixel in metres, if pixels are squares of the same size everywhere."""

    def object_area(self, runs: PixelRuns) -> float:
        """Return the area of an object, in square metres."""
        ...


def ground_area(crs: str | None, transform: tuple[float, ...] | None, shape: tuple[int, ...]) -> GroundArea | None:
    """Return how to compute areas in square metres; None if the image does not lie on a known map.

    Areas are those on the plane of a projection that keeps areas within one percent over the image, as UTM does. In
    degrees, and in projections that stretch areas, such as Web Mercator, they are those on the ellipsoid.

    Parameters
    ----------
    crs : str or None
        Coordinate reference system.
    transform : tuple of float or None
        Affine (a, b, c, d, e, f) from (column, row) to map coordinates.
    shape : tuple of int
        Shape of the image, (..., y, x).
    """
    known = known_crs(crs)
    if known is None or transform is None or known.geodetic_crs is None:
        metres = metres_per_unit(crs)  # a local grid, which has a unit but no place on Earth
        return None if metres is None or transform is None else PlanarArea(transform, metres)
    geodesic = GeodesicArea(str(crs), transform)
    metres = metres_per_unit(crs)
    if metres is None:
        return geodesic if are_degrees(transform, shape) else None
    planar = PlanarArea(transform, metres)
    h, w = shape[-2:]
    rows, columns = (grid.ravel() for grid in np.meshgrid([0.0, h / 2, h], [0.0, w / 2, w], indexing="ij"))
    ratio = geodesic.pixel_areas(rows, columns) / planar.object_area(_ONE_PIXEL)
    known_ratio = ratio[np.isfinite(ratio)]  # corners of the image may lie beyond the projection's domain
    return planar if (np.abs(known_ratio - 1) <= _TOLERANCE).all() else geodesic


class PlanarArea:
    """Areas on the plane of a projection.

    Parameters
    ----------
    transform : tuple of float
        Affine from (column, row) to map coordinates.
    metres : float
        Metres per map unit.
    """

    def __init__(self, transform: tuple[float, ...], metres: float) -> None:
        a, b, _, d, e, _ = transform
        self._area = abs(a * e - b * d) * metres**2
        self.pixel_area: float | None = self._area
        size_y, size_x = pixel_size(transform)
        is_square = math.isclose(size_y, size_x, rel_tol=1e-6) and abs(a * b + d * e) <= 1e-6 * size_x * size_y
        self.pixel_side: float | None = size_x * metres if is_square else None

    def object_area(self, runs: PixelRuns) -> float:
        """Return the area of an object, in square metres."""
        return runs.area_px * self._area


class GeodesicArea:
    """Areas on the ellipsoid.

    Parameters
    ----------
    crs : str
        Coordinate reference system.
    transform : tuple of float
        Affine from (column, row) to map coordinates.

    Notes
    -----
    Corners of pixels are converted to longitude and latitude in the system's own datum and from there to the plane of
    the cylindrical equal-area projection, where the area of a quadrangle is that on the ellipsoid.
    """

    pixel_area: float | None = None
    pixel_side: float | None = None

    def __init__(self, crs: str, transform: tuple[float, ...]) -> None:
        import pyproj  # noqa: PLC0415 - slow to import

        known = known_crs(crs)
        if known is None or known.geodetic_crs is None:
            raise ValueError(f"{crs} has no longitude and latitude")
        base = known.geodetic_crs
        self._transform = transform
        self._to_degrees = pyproj.Transformer.from_crs(known, base, always_xy=True).transform
        self._radians = float(base.axis_info[0].unit_conversion_factor) if base.axis_info else math.radians(1)
        self._axis = float(base.ellipsoid.semi_major_metre)
        flattening = base.ellipsoid.inverse_flattening
        self._eccentricity = math.sqrt((2 - 1 / flattening) / flattening) if flattening else 0.0
        metres = metres_per_unit(crs) or self._axis * self._radians
        self._reach = max(1.0, _REACH_M / (metres * min(pixel_size(transform))))

    def pixel_areas(self, y: Array, x: Array) -> Array:
        """Return the areas of pixels, in square metres.

        Parameters
        ----------
        y, x : ndarray
            Their centres, counted from the outer corner of the first pixel.
        """
        half = self._reach / 2
        corners = [self._equal_area(y + half * dy, x + half * dx) for dy, dx in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
        east = np.stack([np.where(np.isfinite(corner[1]), corner[0], np.nan) for corner in corners])
        east = (east - east[0] + np.pi) % (2 * np.pi) - np.pi  # across the antimeridian
        north = np.stack([corner[1] for corner in corners])
        areas: Array = np.abs((east * np.roll(north, -1, 0) - np.roll(east, -1, 0) * north).sum(0)) / 2
        return areas / self._reach**2

    def object_area(self, runs: PixelRuns) -> float:
        """Return the area of an object, in square metres."""
        lengths = (runs.stop - runs.start).astype(np.float64)
        rows = runs.line.astype(np.float64) + 0.5
        columns = (runs.start + runs.stop).astype(np.float64) / 2
        y, x = float(rows @ lengths / lengths.sum()), float(columns @ lengths / lengths.sum())
        (y0, y1), (x0, x1) = (rows[0], rows[-1]), (runs.start.min(), runs.stop.max())
        some = self.pixel_areas(np.array([y, y0, y0, y1, y1], float), np.array([x, x0, x1, x0, x1], float))
        if some.max() - some.min() <= _UNIFORM * some[0]:
            return float(lengths.sum() * some[0])
        return float((self.pixel_areas(rows, columns) * lengths).sum())

    def _equal_area(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Return longitude in radians, and a measure of latitude in square metres per radian."""
        longitude, latitude = self._to_degrees(*to_map(self._transform, x, y))
        latitude = np.where(np.isfinite(latitude), latitude, np.nan)  # beyond the projection's domain
        sine = np.sin(latitude * self._radians)
        e = self._eccentricity
        stretched = 2 * sine if e == 0 else (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
        return np.asarray(longitude) * self._radians, self._axis**2 / 2 * stretched
