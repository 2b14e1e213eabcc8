"""J and F by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_sam.evaluation.metrics.stacks.video_scores import boundary_f, j_and_f, region_similarity


def disc(centre, radius=20, shape=(100, 100)):
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def test_equal_masks_score_one():
    assert region_similarity(disc((50, 50)), disc((50, 50))) == 1
    assert boundary_f(disc((50, 50)), disc((50, 50))) == 1


def test_both_empty_is_right_and_one_empty_is_wrong():
    nothing = np.zeros((10, 10), bool)
    assert (region_similarity(nothing, nothing), boundary_f(nothing, nothing)) == (1, 1)
    assert boundary_f(disc((50, 50)), np.zeros((100, 100), bool)) == 0
    assert boundary_f(np.zeros((100, 100), bool), disc((50, 50))) == 0


@pytest.mark.parametrize(("shift", "agrees"), [(2, True), (5, False)])
def test_boundaries_agree_within_the_tolerance(shift, agrees):
    """0.8 % of a diagonal of 141 px is 1.13, rounded up 2 px."""
    score = boundary_f(disc((50, 50)), disc((50, 50 + shift)))
    assert (score == 1) == agrees


def test_boundary_f_by_hand():
    """A bar of 40 x 10 px, of which the prediction has the left half: no boundary is near the right end."""
    true, predicted = np.zeros((2000, 2000), bool), np.zeros((2000, 2000), bool)
    true[100:500, 100:1100] = True
    predicted[100:500, 100:600] = True
    score = boundary_f(true, predicted, tolerance=1e-9)  # radius 1
    a, b = 2 * (400 + 1000) + 1, 2 * (400 + 500) + 1
    precision, recall = (b - 400 + 4) / b, (b - 400 + 4) / a
    assert score == pytest.approx(2 * precision * recall / (precision + recall), abs=2e-3)


def test_a_crop_scores_as_the_frame_does():
    true, predicted = disc((50, 50)), disc((52, 54))
    crop = np.s_[20:85, 20:85]
    assert boundary_f(true[crop], predicted[crop], (100, 100)) == boundary_f(true, predicted)


def test_means_recall_and_decay():
    scores = j_and_f([1.0, 0.9, 0.5, 0.2], [1.0, 1.0, 0.6, 0.4])
    assert scores.j == pytest.approx(0.65)
    assert scores.f == pytest.approx(0.75)
    assert scores.j_and_f == pytest.approx(0.7)
    assert scores.j_recall == 0.5
    assert scores.j_decay == pytest.approx(0.8)
    assert math.isnan(j_and_f([], []).j)
