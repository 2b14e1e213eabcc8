"""Polygons across the antimeridian or around a pole, cut as RFC 7946 asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    Ring = NDArray[np.float64]

_HALF_TURN, _TURN = 180.0, 360.0
_STEPS = 32
_WORLDS = (-1, 0, 1)  # copies of the world, beside each other


def crosses_antimeridian(ring: Ring) -> bool:
    """Return whether the longitude of a ring of positions jumps, as from 179.9 to -179.9.

    Parameters
    ----------
    ring : ndarray of float
        (n, 2) longitude and latitude in degrees; the first position is not repeated.
    """
    return bool(jumps(ring, np.roll(ring, -1, 0)).any())


def jumps(positions: Ring, following: Ring) -> NDArray[np.bool_]:
    """Return (n,) between which positions (n, 2) and those that follow the longitude jumps."""
    across: NDArray[np.bool_] = np.abs(following[:, 0] - positions[:, 0]) > _HALF_TURN
    return across


def with_points_between(ring: Ring) -> Ring:
    """Return a ring (n, 2) with 31 points on each of its sides.

    A side of more than half the world then has no jump, in contrast to one across the antimeridian.
    """
    steps = np.linspace(0, 1, _STEPS, endpoint=False)[:, None]
    dense: Ring = (ring[:, None] + steps * (np.roll(ring, -1, 0) - ring)[:, None]).reshape(-1, 2)
    return dense


def split_at_antimeridian(polygon: list[Ring]) -> list[list[Ring]]:
    """Return the parts of a polygon on either side of the antimeridian.

    Parameters
    ----------
    polygon : list of ndarray
        Outer ring and holes, of which one jumps; (n, 2) as for `crosses_antimeridian`.

    Returns
    -------
    list of list of ndarray
        Polygons with longitudes from -180 to 180. One around a pole reaches to the pole.

    Examples
    --------
    >>> ring = np.array([[179.0, 10.0], [-179.0, 10.0], [-179.0, 11.0], [179.0, 11.0]])
    >>> [part[0][:, 0].min().item() for part in split_at_antimeridian([ring])]
    [-180.0, 179.0]
    """
    import shapely  # noqa: PLC0415 - slow to import

    outer, *holes = (shapely.make_valid(shapely.Polygon(_continuous(ring))) for ring in polygon)
    shape: BaseGeometry = shapely.union_all([_moved(outer, world) for world in _WORLDS])
    shape = shapely.intersection(shape, shapely.box(-_HALF_TURN, -90, _HALF_TURN, 90))
    for hole in holes:
        shape = shapely.difference(shape, shapely.union_all([_moved(hole, world) for world in _WORLDS]))
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 0]
    parts.sort(key=lambda part: part.bounds)
    return [[np.array(ring.coords)[:-1] for ring in (part.exterior, *part.interiors)] for part in parts]


def _continuous(ring: Ring) -> Ring:
    """Return a ring without jumps of longitude; one around a pole is closed along the pole."""
    closed = np.concatenate([ring, ring[:1]])
    longitude = np.unwrap(closed[:, 0], period=_TURN)
    unwrapped = np.column_stack([longitude, closed[:, 1]])
    if abs(longitude[-1] - longitude[0]) < _HALF_TURN:
        return unwrapped[:-1]
    pole = 90.0 if ring[:, 1].mean() > 0 else -90.0
    return np.concatenate([unwrapped, [[longitude[-1], pole], [longitude[0], pole]]])


def _moved(shape: BaseGeometry, worlds: int) -> BaseGeometry:
    import shapely  # noqa: PLC0415 - slow to import

    moved: BaseGeometry = shapely.transform(shape, lambda xy: np.add(xy, (worlds * _TURN, 0.0)))
    return moved
