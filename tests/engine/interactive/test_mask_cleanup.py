"""Masks without specks and holes, and low-res logits beyond the image."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.interactive.logit_fields import LogitGrid
from napari_sam.engine.interactive.mask_cleanup import extend_padding, tidy_grid, tidy_mask
from napari_sam.engine.windows import Window

TALL = Window((0, 0, 512, 256), 512)  # the right half of its logits is padding


def test_only_the_part_under_a_seed_stays_with_its_hole_filled():
    mask = np.zeros((9, 12), bool)
    mask[1:6, 1:6], mask[3, 3], mask[7:, 9:] = True, False, True
    tidy = tidy_mask(mask, np.array([[1.0, 1.0]]))
    assert tidy.sum() == 25
    assert tidy[3, 3]


def test_seeds_outside_leave_the_largest_part():
    mask = np.zeros((9, 12), bool)
    mask[1:6, 1:6], mask[7:, 9:] = True, True
    np.testing.assert_array_equal(tidy_mask(mask, np.array([[-5.0, 99.0]])), tidy_mask(mask, np.zeros((0, 2))))
    assert tidy_mask(mask, np.zeros((0, 2)))[8, 11] == 0


def test_padding_continues_the_edge(rng):
    grid = LogitGrid(rng.normal(size=(16, 16)).astype(np.float32), TALL)
    extended = extend_padding(grid).values
    np.testing.assert_array_equal(extended[:, :8], grid.values[:, :8])
    np.testing.assert_array_equal(extended[:, 8:], np.repeat(grid.values[:, 7:8], 8, 1))


def test_a_mask_sets_the_signs_and_keeps_the_magnitudes():
    grid = LogitGrid(np.full((16, 16), -3, np.float32), Window((0, 0, 512, 512), 512))
    mask = np.eye(16, dtype=bool)
    values = extend_padding(grid, mask).values
    assert ((values > 0) == mask).all()
    assert (np.abs(values) == 3).all()


def test_a_tidy_grid_loses_the_speck_far_from_the_seed():
    values = np.full((16, 16), -3, np.float32)
    values[2:5, 2:5], values[12, 12] = 3, 3
    grid = LogitGrid(values, Window((0, 0, 512, 512), 512))
    assert tidy_grid(grid, np.array([[100.0, 100.0]])).values[12, 12] == -3
    assert tidy_grid(grid, None).values[12, 12] == 3
