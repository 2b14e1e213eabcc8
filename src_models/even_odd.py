"""Fill polygons by the even-odd rule."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CROSSINGS = 1 << 22  # of edges with rows that are held in memory together


def even_odd_mask(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centre is inside a polygon, by the even-odd rule.

    Every edge flips all pixels to the right of its intersection with the centre line of a row.

    Parameters
    ----------
    points : ndarray of float
        (P, 2) corners as (x, y), from the outer corner of pixel (0, 0).
    shape : (int, int)
        Height and width of the mask.

    Examples
    --------
    >>> even_odd_mask(np.array([[1.0, 0], [3, 0], [3, 2], [1, 2]]), (2, 4)).astype(int)
    array([[0, 1, 1, 0],
           [0, 1, 1, 0]])
    """
    h, w = shape
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    first, last = (np.clip(np.ceil(f(y0, y1) - 0.5), 0, h).astype(int) for f in (np.minimum, np.maximum))
    crossed = last - first  # number of rows that each edge crosses
    flips = np.zeros((h, w + 1), bool)
    for part in _parts(crossed):
        edge = np.repeat(np.arange(part.start, part.stop), crossed[part])
        row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed[part]) - crossed[part], crossed[part]) + first[edge]
        crossing = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
        np.logical_xor.at(flips, (row, np.clip(np.ceil(crossing - 0.5), 0, w).astype(int)), True)
    inside: NDArray[np.bool_] = np.logical_xor.accumulate(flips[:, :w], axis=1)
    return inside


def _parts(crossed: NDArray[np.int_]) -> Iterator[slice]:
    """Cut edges into runs that cross a limited number of rows together, to save memory."""
    before = np.cumsum(crossed) - crossed
    starts = np.flatnonzero(np.diff(before // _CROSSINGS, prepend=-1)).tolist()
    for start, stop in pairwise([*starts, len(crossed)]):
        yield slice(start, stop)
