"""Maximum matching, against scipy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_sam.evaluation.metrics.bipartite_matching import maximum_matching


@settings(max_examples=80)
@given(st.integers(0, 10_000), st.integers(1, 14), st.integers(1, 14), st.floats(0.05, 0.9))
def test_no_matching_is_larger(seed, lefts, rights, share):
    rng = np.random.default_rng(seed)
    right, left = np.nonzero(rng.random((rights, lefts)) < share)
    rank = rng.integers(0, 5, len(left))
    order = np.lexsort((rank, right))
    matched = maximum_matching(left[order], right[order], rank[order])
    graph = sparse.csr_matrix((np.ones(len(left)), (left, right)), shape=(lefts, rights))
    assert len(matched) == np.count_nonzero(maximum_bipartite_matching(graph, "column") >= 0)
    assert len(np.unique(matched)) == len(matched)


def test_no_pairs_give_no_matching():
    empty = np.zeros(0, np.int64)
    assert len(maximum_matching(empty, empty, empty)) == 0


def test_better_ranks_are_matched_first():
    left, right, rank = np.array([0, 1]), np.array([0, 0]), np.array([0, 9])
    assert maximum_matching(left, right, rank).tolist() == [0]


def test_an_augmenting_path_matches_both():
    left, right, rank = np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([0, 5, 5])
    assert maximum_matching(left, right, rank).tolist() == [0, 1]
