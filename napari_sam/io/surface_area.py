"""Surface area of labelled objects by the Crofton formula, from pairs of neighbouring voxels.

Legland, Kieu and Devaux, Computation of Minkowski measures on 2D and 3D binary images, Image Analysis & Stereology 26
(2007). A line that crosses a surface at a random angle does so, on average, at half of the surface's projection. So the
surface is twice the mean, over directions, of the crossings of lines times the area that each line stands for. Lines
run through voxel centres in the 13 directions to neighbours; the weight of a direction is its share of the sphere.
Unlike the area of the triangles between voxels, this does not count the steps of a digital surface as surface.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIRECTIONS = tuple(d for d in product((0, 1), (-1, 0, 1), (-1, 0, 1)) if d > (0, 0, 0))
"""Steps (z, y, x) to 13 neighbours; those to the others are their opposites."""

LARGEST_ANISOTROPY = 100.0
"""Ratio of the sides of a voxel up to which the directions are spread well enough to estimate a surface."""


def crossings(current: NDArray[np.integer], following: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Count, for each object, the pairs of neighbours of which one belongs to it.

    Parameters
    ----------
    current, following : ndarray of int
        (h + 2, w + 2) objects of a part of a plane and of the next plane, numbered from 1, with a margin of one voxel.
        The first voxel of each pair lies in `current`, within the margin.
    count : int
        Number of objects.

    Returns
    -------
    ndarray of int64
        (13, count) number of crossings in each of the `DIRECTIONS`.
    """
    counts = np.zeros((len(DIRECTIONS), count), np.int64)
    h, w = current.shape[0] - 2, current.shape[1] - 2
    first = current[1:-1, 1:-1]
    for k, (dz, dy, dx) in enumerate(DIRECTIONS):
        second = (following if dz else current)[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
        differ = first != second
        values = np.concatenate([first[differ], second[differ]])
        counts[k] = np.bincount(values, minlength=count + 1)[1 : count + 1]
    return counts


def surface_weights(spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the area of surface that each crossing stands for.

    Parameters
    ----------
    spacing : (float, float, float)
        Distance of voxels along z, y and x.

    Returns
    -------
    ndarray of float64
        (13,) in the square of the unit of `spacing`; NaN if one side of a voxel is more than 100 times another.

    Examples
    --------
    >>> weights = surface_weights((1.0, 1.0, 1.0))
    >>> round(float(weights[DIRECTIONS.index((1, 0, 0))]), 4)  # 2 x 0.0916, the direction's share of the sphere
    0.1831
    """
    from scipy.spatial import SphericalVoronoi  # noqa: PLC0415 - slow to import

    if not 0 < max(spacing) <= LARGEST_ANISOTROPY * min(spacing):
        return np.full(len(DIRECTIONS), math.nan)
    steps = np.array(DIRECTIONS, float) * spacing
    lengths = np.linalg.norm(steps, axis=1)
    units = steps / lengths[:, None]
    regions = SphericalVoronoi(np.concatenate([units, -units]), threshold=1e-12)
    areas = regions.calculate_areas().reshape(2, -1).sum(0)
    weights: NDArray[np.float64] = 2 * areas / areas.sum() * math.prod(spacing) / lengths
    return weights
