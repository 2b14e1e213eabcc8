"""The boundary benchmark: thinning against scikit-image, matching against scipy, counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching
from skimage.morphology import thin

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.bipartite_matching import maximum_matching
from napari_sam.evaluation.metrics.edge_matching import edge_counts, edge_thresholds
from napari_sam.evaluation.metrics.edge_thinning import thin_levels

AT = np.array([0.5])


def line(row, shape=(40, 60)):
    out = np.zeros(shape, bool)
    out[row] = True
    return out


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float64, (14, 17), elements=st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])))
def test_every_level_is_thinned_as_scikit_image_thins_it(edges):
    thresholds = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    pixels, levels = thin_levels(edges, thresholds)
    for threshold, level in zip(thresholds, levels, strict=True):
        drawn = np.zeros(edges.shape, bool)
        drawn[tuple(pixels[level].T)] = True
        np.testing.assert_array_equal(drawn, thin(edges >= threshold))


def test_more_than_64_levels_are_thinned_together(rng):
    edges = rng.random((30, 30))
    thresholds = edge_thresholds()
    pixels, levels = thin_levels(edges, thresholds)
    for k in (0, 63, 64, 98):
        drawn = np.zeros(edges.shape, bool)
        drawn[tuple(pixels[levels[k]].T)] = True
        np.testing.assert_array_equal(drawn, thin(edges >= thresholds[k]))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 14), st.integers(1, 14), st.floats(0.05, 0.9))
def test_no_matching_is_larger(seed, lefts, rights, share):
    rng = np.random.default_rng(seed)
    right, left = np.nonzero(rng.random((rights, lefts)) < share)
    rank = rng.integers(0, 5, len(left))
    order = np.lexsort((rank, right))
    found = maximum_matching(left[order], right[order], rank[order])
    graph = sparse.csr_matrix((np.ones(len(left)), (left, right)), shape=(lefts, rights))
    assert len(found) == np.count_nonzero(maximum_bipartite_matching(graph, "column") >= 0)
    assert len(np.unique(found)) == len(found)


def test_the_nearer_of_two_lines_is_matched():
    truth = line(20)[None]
    found = line(21) | line(23)
    counts = edge_counts(found.astype(float), truth, AT, max_distance=0.06)  # 4.3 px
    assert counts.as_array()[:, 0].tolist() == [60, 60, 60, 120]
    pixels, levels = thin_levels(found.astype(float), AT)
    assert levels.all()
    assert set(pixels[:, 0]) == {21, 23}


@pytest.mark.parametrize(("row", "matched"), [(24, 60), (25, 0)])
def test_pixels_are_matched_up_to_the_tolerance(row, matched):
    reach = 4.5 / np.hypot(40, 60)
    counts = edge_counts(line(row).astype(float), line(20)[None], AT, max_distance=reach)
    assert counts.matched_true.tolist() == [matched]
    assert counts.matched_predicted.tolist() == [matched]


def test_precision_counts_a_pixel_once_however_many_annotators_drew_it():
    truth = np.stack([line(10), line(10), line(30)])
    counts = edge_counts(line(10).astype(float), truth, AT)
    assert counts.as_array()[:, 0].tolist() == [120, 180, 60, 60]


def test_weaker_edges_appear_at_lower_thresholds():
    edges = np.where(line(10), 0.9, 0) + np.where(line(30), 0.3, 0)
    counts = edge_counts(edges, (line(10) | line(30))[None], np.array([0.2, 0.5, 0.95]))
    assert counts.matched_true.tolist() == [120, 60, 0]
    assert counts.predicted.tolist() == [120, 60, 0]


def test_an_empty_map_finds_nothing():
    counts = edge_counts(np.zeros((40, 60)), line(20)[None])
    assert counts.matched_true.sum() == counts.predicted.sum() == 0
    assert (counts.true == 60).all()


@pytest.mark.parametrize(
    ("edges", "truth", "message"),
    [
        (np.zeros((4, 5)), np.zeros((1, 4, 4), bool), r"\(1, 4, 4\) for a map of shape \(4, 5\)"),
        (np.zeros((4, 5)), np.zeros((0, 4, 5), bool), r"\(0, 4, 5\)"),
        (np.full((4, 5), np.nan), np.zeros((1, 4, 5), bool), "not finite"),
    ],
)
def test_bad_maps_are_refused(edges, truth, message):
    with pytest.raises(EvaluationError, match=message):
        edge_counts(edges, truth)
