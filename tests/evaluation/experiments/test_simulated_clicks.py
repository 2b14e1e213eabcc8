"""The simulated user."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.evaluation.experiments.simulated_clicks import (
    crop_box,
    crop_iou,
    next_click,
    next_prompt,
    prediction_iou,
)
from tests.evaluation.evaluation_stubs import answer


def test_iou_of_crops_by_hand(labels):
    p = answer(np.ones((1, 5, 5), bool), (0, 0, 5, 5), labels.shape)
    assert prediction_iou(p, 0, np.ones((3, 3), bool), (30, 30)) == 0.0
    assert prediction_iou(p, 0, np.ones((5, 10), bool), (0, 0)) == 0.5
    assert crop_iou(np.zeros((2, 2), bool), (0, 0), np.zeros((1, 1), bool), (9, 9)) == 1.0


def test_a_click_that_removes_is_a_background_click():
    truth = np.ones((10, 4), bool)
    y, x, label = next_click(np.ones((10, 12), bool), (5, 5), truth, (5, 5))
    assert label == 0
    assert 9 <= x < 17
    assert 5 <= y < 15


@pytest.fixture
def labels():
    return np.zeros((40, 60), np.int32)


def test_the_box_of_a_crop_starts_at_its_origin():
    assert crop_box(np.ones((2, 3), bool), (10, 20)) == (10, 20, 12, 23)


def test_crops_that_do_not_overlap_have_no_iou():
    assert crop_iou(np.ones((2, 2), bool), (0, 0), np.ones((2, 2), bool), (5, 5)) == 0


def test_a_random_click_lies_in_the_error(rng):
    mask, truth = np.zeros((4, 4), bool), np.ones((6, 6), bool)
    y, x, label = next_click(mask, (0, 0), truth, (10, 10), rng)
    assert label == 1
    assert 10 <= y < 16
    assert 10 <= x < 16


def test_a_prompt_keeps_its_earlier_clicks(labels):
    prediction = answer(np.zeros((1, 5, 5), bool), (0, 0, 5, 5), labels.shape)
    prompt = next_prompt({"points": [(1, 2)], "point_labels": [1]}, prediction, np.ones((5, 5), bool), (0, 0))
    assert prompt["points"] == [(1, 2), (2, 2)]
    assert prompt["point_labels"] == [1, 1]
    assert prompt["mask"] is prediction
