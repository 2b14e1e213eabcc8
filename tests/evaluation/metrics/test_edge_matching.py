"""The boundary benchmark: thinning against scikit-image, matching against scipy, counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.edge_matching import edge_counts
from napari_sam.evaluation.metrics.edge_thinning import thin_levels

THRESHOLD = np.array([0.5])


def line(row, shape=(40, 60)):
    out = np.zeros(shape, bool)
    out[row] = True
    return out


def test_the_nearer_of_two_lines_is_matched():
    truth = line(20)[None]
    edges = line(21) | line(23)
    counts = edge_counts(edges.astype(float), truth, THRESHOLD, max_distance=0.06)  # 4.3 px
    assert counts.as_array()[:, 0].tolist() == [60, 60, 60, 120]
    pixels, levels = thin_levels(edges.astype(float), THRESHOLD)
    assert levels.all()
    assert set(pixels[:, 0]) == {21, 23}


@pytest.mark.parametrize(("row", "matched"), [(24, 60), (25, 0)])
def test_pixels_are_matched_up_to_the_tolerance(row, matched):
    reach = 4.5 / np.hypot(40, 60)
    counts = edge_counts(line(row).astype(float), line(20)[None], THRESHOLD, max_distance=reach)
    assert counts.matched_true.tolist() == [matched]
    assert counts.matched_predicted.tolist() == [matched]


def test_precision_counts_a_pixel_once_however_many_annotators_drew_it():
    truth = np.stack([line(10), line(10), line(30)])
    counts = edge_counts(line(10).astype(float), truth, THRESHOLD)
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
