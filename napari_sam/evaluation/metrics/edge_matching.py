"""The boundary benchmark of the Berkeley segmentation data set: thinning and one-to-one matching, at all thresholds.

Martin, Fowlkes and Malik (2004) and Arbelaez et al. (2011): a boundary map is cut at 99 thresholds, each cut is
thinned, and its pixels are matched one to one to those of every annotator, within 0.75 % of the image's diagonal.
Precision counts pixels that are matched to any annotator, recall those of all annotators that are matched.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Bits = NDArray[np.uint64]

THRESHOLDS = 99
MAX_DISTANCE = 0.0075
"""Within which pixels may be matched, as a share of the image's diagonal."""

_WORD = 64
# E, NE, N, NW, W, SW, S, SE: the order in which the conditions of thinning go round a pixel
_ROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True)
class EdgeCounts:
    """What the benchmark counts in one image at each threshold; all (T,) int64.

    Attributes
    ----------
    matched_true, true : ndarray
        Pixels of all annotators that are matched, and all of them: recall.
    matched_found, found : ndarray
        Pixels of the thinned map that are matched to any annotator, and all of them: precision.
    """

    matched_true: NDArray[np.int64]
    true: NDArray[np.int64]
    matched_found: NDArray[np.int64]
    found: NDArray[np.int64]

    def as_array(self) -> NDArray[np.int64]:
        """(4, T) in the order of the attributes."""
        return np.stack([self.matched_true, self.true, self.matched_found, self.found])


def edge_thresholds(count: int = THRESHOLDS) -> NDArray[np.float64]:
    """The thresholds 1 / (count + 1) to count / (count + 1)."""
    return np.linspace(1 / (count + 1), 1 - 1 / (count + 1), count)


def thin_levels(
    edges: NDArray[np.floating], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Cut a boundary map at every threshold, and thin every cut to lines of one pixel.

    Parameters
    ----------
    edges : ndarray of float
        (H, W).
    thresholds : ndarray of float
        (T,).

    Returns
    -------
    pixels : ndarray of int64
        (N, 2) rows and columns of the pixels that reach the lowest threshold.
    levels : ndarray of bool
        (T, N) which of them remain at each threshold.

    Notes
    -----
    Lam, Lee and Suen (1992), as in MATLAB's ``bwmorph(..., 'thin', Inf)`` and `skimage.morphology.thin`. All thresholds
    are thinned together: a pixel is a row of bits, one for each of them, and the conditions are bitwise operations.
    """
    rows, cols = np.nonzero(edges >= thresholds.min())
    count = len(rows)
    at = np.full((edges.shape[0] + 2, edges.shape[1] + 2), count)
    at[rows + 1, cols + 1] = np.arange(count)
    neighbours = np.stack([at[rows + 1 + dy, cols + 1 + dx] for dy, dx in _ROUND])
    words = -(-len(thresholds) // _WORD)
    padded = np.zeros((count + 1, words * _WORD), bool)  # the last row stands for all other pixels
    padded[:count, : len(thresholds)] = edges[rows, cols, None] >= thresholds
    bits = np.packbits(padded, axis=1, bitorder="little").view(np.uint64)
    stale = np.ones((2, count + 1), bool)  # whose surroundings changed since each half step looked at them
    stale[:, count] = False
    while stale.any():
        for half in (0, 1):  # the second is the first, turned by 180 degrees
            active = np.flatnonzero(stale[half])
            stale[half] = False
            before = bits[active]
            after = before & ~_removable(bits, neighbours[:, active], 4 * half)
            bits[active] = after
            changed = active[(after != before).any(1)]
            stale[:, changed] = stale[:, neighbours[:, changed].ravel()] = True
            stale[:, count] = False
    levels = np.unpackbits(bits[:count].view(np.uint8), axis=1, bitorder="little")[:, : len(thresholds)]
    return np.column_stack([rows, cols]), np.ascontiguousarray(levels.T.astype(bool))


def _removable(bits: NDArray[np.uint64], neighbours: NDArray[np.int64], turn: int) -> NDArray[np.uint64]:
    """At which thresholds a pixel may go in a half step of thinning."""
    x = [bits[index] for index in neighbours]
    crossings = [~x[k] & (x[k + 1] | x[(k + 2) % 8]) for k in (0, 2, 4, 6)]
    first = [x[k] | x[k + 1] for k in (0, 2, 4, 6)]
    second = [x[k + 1] | x[(k + 2) % 8] for k in (0, 2, 4, 6)]
    enough = _at_least_two(*first) & _at_least_two(*second)
    not_all = ~(first[0] & first[1] & first[2] & first[3] & second[0] & second[1] & second[2] & second[3])
    east, north_east, north, south_east = x[turn], x[turn + 1], x[(turn + 2) % 8], x[(turn + 7) % 8]
    out: NDArray[np.uint64] = _exactly_one(*crossings) & enough & not_all & ~((north_east | north | ~south_east) & east)
    return out


def _exactly_one(a: _Bits, b: _Bits, c: _Bits, d: _Bits) -> _Bits:
    return np.bitwise_or((a ^ b) & ~(c | d), ~(a | b) & (c ^ d), dtype=np.uint64)


def _at_least_two(a: _Bits, b: _Bits, c: _Bits, d: _Bits) -> _Bits:
    return np.bitwise_or((a & b) | (c & d), (a | b) & (c | d), dtype=np.uint64)


def edge_counts(
    edges: NDArray[np.floating],
    truth: NDArray[np.bool_],
    thresholds: NDArray[np.float64] | None = None,
    max_distance: float = MAX_DISTANCE,
) -> EdgeCounts:
    """Compare a boundary map to those that people drew.

    Parameters
    ----------
    edges : ndarray of float
        (H, W) in [0, 1], stronger is surer; best thinned by `edge_nms` before.
    truth : ndarray of bool
        (A, H, W) boundaries of each annotator, one pixel wide.
    thresholds : ndarray of float, optional
        `edge_thresholds` by default.
    max_distance : float
        As `MAX_DISTANCE`.

    Returns
    -------
    EdgeCounts

    Raises
    ------
    EvaluationError
        If shapes differ, there is no annotator, or the map has values that are no numbers.

    Notes
    -----
    Each matching is one of the largest there are. The benchmark's own is also the shortest one of those; here the
    nearest pairs are merely matched first.

    Examples
    --------
    >>> truth = np.zeros((1, 9, 9), bool)
    >>> truth[0, 4] = True
    >>> counts = edge_counts(truth[0] * 0.8, truth, np.array([0.5, 0.9]))
    >>> counts.matched_true.tolist(), counts.true.tolist(), counts.found.tolist()
    ([9, 0], [9, 9], [9, 0])
    """
    if truth.ndim != 3 or not len(truth) or truth.shape[1:] != edges.shape:
        raise EvaluationError(f"boundaries of shape {truth.shape} for a map of shape {edges.shape}: give (A, H, W)")
    if not np.isfinite(edges).all():
        raise EvaluationError("the boundary map has values that are no numbers; give finite ones")
    levels_at = edge_thresholds() if thresholds is None else thresholds
    pixels, levels = thin_levels(edges, levels_at)
    reach = max_distance * float(np.hypot(*edges.shape))
    any_matched = np.zeros_like(levels)
    matched_true = np.zeros(len(levels_at), np.int64)
    for drawn in truth:
        pairs = PixelPairs.within(pixels, drawn, reach)
        for k, level in enumerate(levels):
            if not k or not np.array_equal(level, levels[k - 1]):
                hit = maximum_matching(*pairs.among(level))
            any_matched[k, hit] = True
            matched_true[k] += len(hit)
    true = np.full(len(levels_at), np.count_nonzero(truth), np.int64)
    return EdgeCounts(matched_true, true, any_matched.sum(1), levels.sum(1))


@dataclass(frozen=True)
class PixelPairs:
    """Pixels of a map and of an annotator that are near enough, sorted by the annotator's pixel and distance.

    Attributes
    ----------
    found, drawn : ndarray of int
        (E,) numbers of the two pixels of each pair.
    rank : ndarray of int
        (E,) their squared distance.
    """

    found: NDArray[np.int64]
    drawn: NDArray[np.int64]
    rank: NDArray[np.int64]

    @classmethod
    def within(cls, pixels: NDArray[np.int64], drawn: NDArray[np.bool_], reach: float) -> PixelPairs:
        """Pairs of the pixels (N, 2) and those of `drawn` (H, W) that are at most `reach` pixels apart."""
        far = int(reach)
        rows, cols = np.nonzero(drawn)
        at = np.full((drawn.shape[0] + 2 * far, drawn.shape[1] + 2 * far), -1)
        at[pixels[:, 0] + far, pixels[:, 1] + far] = np.arange(len(pixels))
        offsets = np.array([(y, x) for y in range(-far, far + 1) for x in range(-far, far + 1)])
        squared = (offsets**2).sum(1)
        near = np.argsort(squared, kind="stable")
        near = near[squared[near] <= reach * reach]
        partners = at[rows[:, None] + far + offsets[near, 0], cols[:, None] + far + offsets[near, 1]]
        of, which = np.nonzero(partners >= 0)
        return cls(partners[of, which], of, squared[near][which])

    def among(self, level: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Those of the pixels at one threshold."""
        there = level[self.found]
        return self.found[there], self.drawn[there], self.rank[there]


def maximum_matching(left: NDArray[np.int64], right: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Match as many of two kinds of things as can be, one to one, better pairs before worse ones.

    Parameters
    ----------
    left, right : ndarray of int
        (E,) the pairs that may be matched; sorted by `right`, then by `rank`.
    rank : ndarray of int
        (E,) the better the lower.

    Returns
    -------
    ndarray of int
        The left ones that are matched; as many right ones are.

    Notes
    -----
    Pairs are taken greedily, best ranks first; then augmenting paths are searched from all unmatched right ones at
    once, breadth first, until there is none: by Berge's theorem no matching is larger. What a greedy step matched on
    the left stays matched.

    Examples
    --------
    >>> largest_matching(np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([0, 1, 4])).tolist()
    [0, 1]
    """
    if not len(left):
        return left
    partner_of_left = np.full(int(left.max()) + 1, -1)
    partner_of_right = np.full(int(right.max()) + 1, -1)
    _take_best(left, right, rank, partner_of_left, partner_of_right)
    starts = np.searchsorted(right, np.arange(len(partner_of_right) + 1))
    while _augment(left, starts, partner_of_left, partner_of_right):
        pass
    return np.flatnonzero(partner_of_left >= 0)


def _take_best(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    rank: NDArray[np.int64],
    partner_of_left: NDArray[np.int64],
    partner_of_right: NDArray[np.int64],
) -> None:
    """Match greedily, rank by rank."""
    order = np.argsort(rank, kind="stable")
    bounds = np.flatnonzero(np.diff(rank[order], prepend=-1, append=np.iinfo(np.int64).max))
    for first, last in pairwise(bounds):
        some = order[first:last]
        while True:
            some = some[(partner_of_left[left[some]] < 0) & (partner_of_right[right[some]] < 0)]
            if not len(some):
                break
            chosen = some[np.unique(left[some], return_index=True)[1]]
            chosen = chosen[np.unique(right[chosen], return_index=True)[1]]
            partner_of_left[left[chosen]], partner_of_right[right[chosen]] = right[chosen], left[chosen]


def _augment(
    left: NDArray[np.int64],
    starts: NDArray[np.int64],
    partner_of_left: NDArray[np.int64],
    partner_of_right: NDArray[np.int64],
) -> bool:
    """Enlarge a matching along paths that share nothing; False where there is no such path."""
    root = np.full(len(partner_of_right), -1)
    parent = np.full(len(partner_of_left), -1)  # the right one from which each left one was reached
    end = np.full(len(partner_of_right), -1)  # of each root, the left one that is free
    frontier = np.flatnonzero((partner_of_right < 0) & (np.diff(starts) > 0))
    root[frontier] = frontier
    while len(frontier):
        counts = starts[frontier + 1] - starts[frontier]
        source = np.repeat(frontier, counts)
        edge = np.arange(len(source)) + np.repeat(starts[frontier] - np.cumsum(counts) + counts, counts)
        reached = left[edge]
        new = parent[reached] < 0
        reached, first = np.unique(reached[new], return_index=True)
        source = source[new][first]
        parent[reached] = source
        free = partner_of_left[reached] < 0
        end[root[source[free]]] = reached[free]
        reached, source = reached[~free], source[~free]
        frontier = partner_of_left[reached]
        root[frontier] = root[source]
        frontier = frontier[end[root[frontier]] < 0]
    step = end[end >= 0]
    found = len(step) > 0
    while len(step):
        there = parent[step]
        before = partner_of_right[there]
        partner_of_left[step], partner_of_right[there] = there, step
        step = before[before >= 0]
    return found
