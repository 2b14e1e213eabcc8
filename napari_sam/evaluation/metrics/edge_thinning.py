"""Thin a boundary map at many thresholds at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Bits = NDArray[np.uint64]

_WORD_BITS = 64
# E, NE, N, NW, W, SW, S, SE: the order in which the conditions of thinning go round a pixel
_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def thin_levels(
    edges: NDArray[np.floating], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Threshold a boundary map at every level, and thin each binary map to lines of one pixel.

    Parameters
    ----------
    edges : ndarray of float
        (H, W) edge strength.
    thresholds : ndarray of float
        (T,) thresholds.

    Returns
    -------
    pixels : ndarray of int64
        (N, 2) rows and columns of the pixels that reach the lowest threshold.
    levels : ndarray of bool
        (T, N) which of these pixels remain at each threshold.

    Notes
    -----
    Lam, Lee and Suen (1992), as in MATLAB's ``bwmorph(..., 'thin', Inf)`` and `skimage.morphology.thin`. All
    thresholds are thinned together: a pixel is a row of bits, one for each threshold, and the conditions are bitwise
    operations.
    """
    rows, cols = np.nonzero(edges >= thresholds.min())
    count = len(rows)
    index = np.full((edges.shape[0] + 2, edges.shape[1] + 2), count)
    index[rows + 1, cols + 1] = np.arange(count)
    neighbours = np.stack([index[rows + 1 + dy, cols + 1 + dx] for dy, dx in _NEIGHBOURS])
    words = -(-len(thresholds) // _WORD_BITS)
    padded = np.zeros((count + 1, words * _WORD_BITS), bool)  # the last row stands for all other pixels
    padded[:count, : len(thresholds)] = edges[rows, cols, None] >= thresholds
    bits = np.packbits(padded, axis=1, bitorder="little").view(np.uint64)
    _thin(bits, neighbours)
    levels = np.unpackbits(bits[:count].view(np.uint8), axis=1, bitorder="little")[:, : len(thresholds)]
    return np.column_stack([rows, cols]), np.ascontiguousarray(levels.T.astype(bool))


def _thin(bits: _Bits, neighbours: NDArray[np.int64]) -> None:
    """Remove pixels in place until nothing changes.

    Parameters
    ----------
    bits : ndarray of uint64
        (N + 1, W) thresholds at which each pixel is set; the last row stays empty.
    neighbours : ndarray of int
        (8, N) row of each neighbour.
    """
    count = neighbours.shape[1]
    stale = np.ones((2, count + 1), bool)  # pixels whose neighbours changed since each half step examined them
    stale[:, count] = False
    while stale.any():
        for half in (0, 1):  # the second half step is the first, turned by 180 degrees
            active = np.flatnonzero(stale[half])
            stale[half] = False
            before = bits[active]
            after = before & ~_removable(bits, neighbours[:, active], 4 * half)
            bits[active] = after
            changed = active[(after != before).any(1)]
            stale[:, changed] = stale[:, neighbours[:, changed].ravel()] = True
            stale[:, count] = False


def _removable(bits: _Bits, neighbours: NDArray[np.int64], turn: int) -> _Bits:
    """Return the thresholds at which a half step of thinning may remove each pixel."""
    x = [bits[index] for index in neighbours]
    crossings = [~x[k] & (x[k + 1] | x[(k + 2) % 8]) for k in (0, 2, 4, 6)]
    first = [x[k] | x[k + 1] for k in (0, 2, 4, 6)]
    second = [x[k + 1] | x[(k + 2) % 8] for k in (0, 2, 4, 6)]
    enough = _at_least_two(*first) & _at_least_two(*second)
    not_all = ~(first[0] & first[1] & first[2] & first[3] & second[0] & second[1] & second[2] & second[3])
    east, north_east, north, south_east = x[turn], x[turn + 1], x[(turn + 2) % 8], x[(turn + 7) % 8]
    removable: _Bits = _exactly_one(*crossings) & enough & not_all & ~((north_east | north | ~south_east) & east)
    return removable


def _exactly_one(a: _Bits, b: _Bits, c: _Bits, d: _Bits) -> _Bits:
    return np.bitwise_or((a ^ b) & ~(c | d), ~(a | b) & (c ^ d), dtype=np.uint64)


def _at_least_two(a: _Bits, b: _Bits, c: _Bits, d: _Bits) -> _Bits:
    return np.bitwise_or((a & b) | (c & d), (a | b) & (c | d), dtype=np.uint64)
