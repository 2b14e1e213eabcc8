"""Points, boxes and corrections of simulated users."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.training.prompt_simulation import correction, deepest_point, noisy_box, random_point


def test_the_first_click_is_deepest_even_at_the_border():
    region = np.zeros((9, 20), bool)
    region[:, :5] = True
    assert deepest_point(region) == (2, 2)  # three pixels from the top, the left border and the right side


def test_corrections_are_in_the_error_region(rng):
    truth, mask = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    truth[5:15, 2:8] = True
    mask[5:15, 2:20] = True
    y, x, label = correction(mask, truth)
    assert label == 0
    assert (y, x) == (9, 12)  # five pixels from the nearest side
    for _ in range(20):
        y, x, label = correction(mask, truth, rng)
        assert label == 0
        assert mask[y, x] != truth[y, x]
    assert correction(truth, truth)[2] == 1


def test_box_noise_is_a_tenth_of_the_side_but_at_most_20_px(rng):
    region = np.zeros((2000, 200), bool)
    region[500:1500, 80:120] = True
    boxes = np.array([noisy_box(region, rng) for _ in range(400)])
    spread = (boxes - [500, 80, 1500, 120]).std(0)
    assert np.abs(boxes - [500, 80, 1500, 120]).max() <= 20
    assert spread[1] == pytest.approx(4, rel=0.2)
    assert 10 < spread[0] < 20


def test_random_points_lie_inside(rng):
    region = rng.random((30, 40)) > 0.9
    assert all(region[random_point(region, rng)] for _ in range(50))
