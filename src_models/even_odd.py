"""Fill polygons by the even-odd rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    edge = np.repeat(np.arange(len(points)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + first[edge]
    crossing = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    flips = np.zeros((h, w + 1), bool)
    np.logical_xor.at(flips, (row, np.clip(np.ceil(crossing - 0.5), 0, w).astype(int)), True)
    inside: NDArray[np.bool_] = np.logical_xor.accumulate(flips[:, :w], axis=1)
    return inside
