"""Points, boxes and corrections of simulated users."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.training.prompt_simulation import border_point, correction, deepest_point, noisy_box, random_point


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


def test_border_points_lie_near_the_border_but_not_on_it(rng):
    region = np.zeros((60, 60), bool)
    region[10:50, 10:50] = True
    points = np.array([border_point(region, rng) for _ in range(60)])
    depth = np.minimum(points - 9, 50 - points).min(1)
    assert depth.min() >= 2
    assert depth.max() <= 6  # 0.3 of the depth of 20
    assert len(np.unique(points, axis=0)) > 30


def test_the_border_of_a_thin_region_is_all_of_it(rng):
    line = np.zeros((9, 30), bool)
    line[4, 2:20] = True
    assert all(line[border_point(line, rng)] for _ in range(20))


def test_a_border_correction_lies_in_the_deeper_error(rng):
    truth, mask = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    truth[5:35, 5:35] = True
    mask[5:35, 8:55] = True  # misses three columns, adds twenty
    for _ in range(20):
        y, x, label = correction(mask, truth, rng, border=True)
        assert label == 0
        assert x >= 35
        assert min(y - 4, 35 - y, x - 34, 55 - x) <= 3
