"""Moments of masks and runs, against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops

from napari_sam.io.pixel_runs import PixelRuns, runs_by_label
from napari_sam.io.shape_moments import mask_moments, run_moments, shape_from_moments


def test_moments_of_halves_give_the_shape_that_scikit_image_measures():
    mask = np.zeros((60, 80), bool)
    mask[ellipse(30, 40, 9, 27, rotation=0.4)] = True
    sums = mask_moments(mask[:30], 0, 0) + mask_moments(mask[30:], 30, 0)
    (expected,) = regionprops(mask.astype(int))
    shape = shape_from_moments(sums, (100.0, 200.0))
    assert shape["area_px"] == expected.area
    assert shape["centroid_y_px"] == pytest.approx(expected.centroid[0] + 100)
    assert shape["eccentricity"] == pytest.approx(expected.eccentricity)
    assert shape["orientation"] == pytest.approx(expected.orientation)


def test_runs_have_the_moments_of_their_mask():
    mask = np.random.default_rng(0).random((60, 80)) > 0.4
    _, _, runs = runs_by_label(mask.astype(np.uint32), (0, 0))
    np.testing.assert_allclose(run_moments(PixelRuns(*runs), (20.5, 30.25)), mask_moments(mask, -20.5, -30.25))
