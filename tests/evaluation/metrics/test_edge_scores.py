"""Scores of the boundary benchmark, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.edge_scores import (
    areas_under_curve,
    best_f_measure,
    edge_scores,
    f_measure,
    recall_precision,
)

EASY = [[8, 4], [10, 10], [8, 4], [16, 4]]


HARD = [[2, 1], [10, 10], [2, 1], [2, 1]]


def test_ods_has_one_threshold_and_ois_one_for_each_image():
    scores = edge_scores(np.array([EASY, HARD]))
    # At the first threshold recall 10/20, precision 10/18; at the second 5/20 and 5/5.
    at_first, at_second = 2 * 0.5 * (10 / 18) / (0.5 + 10 / 18), 2 * 0.25 / 1.25
    assert scores.ods >= max(at_first, at_second)
    assert scores.ods == pytest.approx(best_f_measure(np.array([EASY, HARD]).sum(0)[None])[0])
    # Each image is best at its first threshold, which together is the data set's first.
    assert scores.ois == pytest.approx(at_first)


def test_ois_uses_the_best_threshold_of_each_image():
    low_first = np.array([[[9, 1], [10, 10], [9, 1], [10, 1]]])
    high_first = np.array([[[9, 9], [10, 10], [9, 9], [90, 10]]])
    scores = edge_scores(np.concatenate([low_first, high_first]))
    assert scores.ois == pytest.approx(0.9)
    assert scores.ods < 0.75


def test_ap_is_the_area_and_r50_the_recall_at_one_half():
    counts = np.array([[[0, 5, 10], [10, 10, 10], [0, 5, 10], [1, 5, 20]]])  # recall 0, .5, 1; precision 0, 1, .5
    scores = edge_scores(counts)
    precision = np.interp(np.linspace(0, 1, 101), [0, 0.5, 1], [0, 1, 0.5])
    assert scores.ap == pytest.approx(precision.sum() / 100)
    assert scores.r50 == pytest.approx(1.0)


def test_no_image_is_an_error():
    with pytest.raises(EvaluationError, match="at least one image"):
        edge_scores(np.zeros((0, 4, 99)))


def test_f_measure_is_zero_without_recall_and_precision():
    assert f_measure(np.zeros(2), np.array([0.0, 1.0])).tolist() == [0, 0]


def test_recall_and_precision_of_nothing_are_zero():
    recall, precision = recall_precision(np.zeros((4, 3)))
    assert recall.tolist() == precision.tolist() == [0, 0, 0]


def test_the_area_needs_two_recalls():
    assert areas_under_curve(np.array([[[5.0], [10], [5], [5]]])).tolist() == [0]
