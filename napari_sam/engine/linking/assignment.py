"""Assignment of objects to each other, by the largest total similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OFFSET = 2.0  # added to every cost, because the solver takes a cost of 0 for a missing pair


def assign(first: NDArray[np.int64], second: NDArray[np.int64], similarity: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose pairs so that each object is in at most one, and their total similarity is largest.

    Parameters
    ----------
    first, second : ndarray of int64
        (m,) objects of each candidate pair; each pair occurs once.
    similarity : ndarray of float64
        (m,) in (0, 1].

    Returns
    -------
    ndarray of bool
        (m,) whether the pair is chosen.

    Notes
    -----
    The linear assignment problem is sparse: only the candidates are edges, and each object of the first side has one
    edge more, of similarity 0, for staying alone.

    Examples
    --------
    >>> assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.8, 0.7]))
    array([False,  True,  True])
    """
    chosen = np.zeros(len(first), bool)
    if not len(first):
        return chosen
    rows, row = np.unique(first, return_inverse=True)
    columns, column = np.unique(second, return_inverse=True)
    alone = np.arange(len(rows))
    cost = np.concatenate([_OFFSET - similarity, np.full(len(rows), _OFFSET)])
    shape = (len(rows), len(columns) + len(rows))
    indices = (np.concatenate([row, alone]), np.concatenate([column, len(columns) + alone]))
    matched_row, matched_column = min_weight_full_bipartite_matching(coo_array((cost, indices), shape=shape).tocsr())
    partner = np.empty(len(rows), np.int64)
    partner[matched_row] = matched_column
    chosen[partner[row] == column] = True
    return chosen
