"""Maximum matching of two sets, preferring pairs of a better rank."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Indices = NDArray[np.int64]


def maximum_matching(left: _Indices, right: _Indices, rank: _Indices) -> _Indices:
    """Match as many elements of two sets as possible, one to one, better ranks first.

    Parameters
    ----------
    left, right : ndarray of int
        (E,) the pairs that may be matched; sorted by `right`, then by `rank`.
    rank : ndarray of int
        (E,) rank of each pair; lower is better.

    Returns
    -------
    ndarray of int
        The matched left elements; as many right elements are matched.

    Notes
    -----
    Pairs are taken greedily, best ranks first; then augmenting paths are searched breadth first from all unmatched
    right elements at once, until there is none: by Berge's theorem no matching is larger. What the greedy step matched
    on the left stays matched.

    Examples
    --------
    >>> maximum_matching(np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([0, 1, 4])).tolist()
    [0, 1]
    """
    if not len(left):
        return left
    partner_of_left = np.full(int(left.max()) + 1, -1)
    partner_of_right = np.full(int(right.max()) + 1, -1)
    _match_greedily(left, right, rank, partner_of_left, partner_of_right)
    starts = np.searchsorted(right, np.arange(len(partner_of_right) + 1))
    while _augment(left, starts, partner_of_left, partner_of_right):
        pass
    return np.flatnonzero(partner_of_left >= 0)


def _match_greedily(
    left: _Indices, right: _Indices, rank: _Indices, partner_of_left: _Indices, partner_of_right: _Indices
) -> None:
    """Match greedily, rank by rank, in place."""
    order = np.argsort(rank, kind="stable")
    bounds = np.flatnonzero(np.diff(rank[order], prepend=-1, append=np.iinfo(np.int64).max))
    for first, last in pairwise(bounds):
        pairs = order[first:last]
        while True:
            pairs = pairs[(partner_of_left[left[pairs]] < 0) & (partner_of_right[right[pairs]] < 0)]
            if not len(pairs):
                break
            chosen = pairs[np.unique(left[pairs], return_index=True)[1]]
            chosen = chosen[np.unique(right[chosen], return_index=True)[1]]
            partner_of_left[left[chosen]], partner_of_right[right[chosen]] = right[chosen], left[chosen]


def _augment(left: _Indices, starts: _Indices, partner_of_left: _Indices, partner_of_right: _Indices) -> bool:
    """Enlarge a matching along disjoint augmenting paths, in place; return False if there is none."""
    root = np.full(len(partner_of_right), -1)
    parent = np.full(len(partner_of_left), -1)  # the right element from which each left one was reached
    end = np.full(len(partner_of_right), -1)  # the free left element at the end of each root's path
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
    found_path = len(step) > 0
    while len(step):
        previous = parent[step]
        next_step = partner_of_right[previous]
        partner_of_left[step], partner_of_right[previous] = previous, step
        step = next_step[next_step >= 0]
    return found_path
