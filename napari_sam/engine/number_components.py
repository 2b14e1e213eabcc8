"""Number the connected components of a graph in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def number_components(count: int, links: NDArray[np.int64], kept: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Number nodes from 1 in their order; linked nodes share a number.

    Parameters
    ----------
    count : int
        Number of nodes.
    links : ndarray of int64
        (m, 2) linked nodes.
    kept : ndarray of bool, optional
        (count,) nodes that get a number; all by default.

    Returns
    -------
    ndarray of int64
        (count,) numbers, without gaps; 0 for nodes that are not kept.

    Examples
    --------
    >>> number_components(4, np.array([[1, 3]]))
    array([1, 2, 3, 2])
    """
    from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import; the dock needs it only later
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    nodes = np.arange(count) if kept is None else np.flatnonzero(kept)
    _, first, inverse = np.unique(component[nodes], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(1, len(first) + 1)
    number = np.zeros(count, np.int64)
    number[nodes] = rank[inverse]
    return number
