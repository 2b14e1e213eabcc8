"""Thinning at many thresholds, against scikit-image."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.morphology import thin

from napari_sam.evaluation.metrics.edge_matching import edge_thresholds
from napari_sam.evaluation.metrics.edge_thinning import thin_levels


@settings(max_examples=40)
@given(hnp.arrays(np.float64, (14, 17), elements=st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])))
def test_every_level_is_thinned_as_by_scikit_image(edges):
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


def test_a_thick_line_becomes_one_pixel_wide():
    edges = np.zeros((9, 20))
    edges[3:6] = 1.0
    pixels, levels = thin_levels(edges, np.array([0.5]))
    assert set(pixels[levels[0]][2:-2, 0]) == {4}


def test_nothing_is_left_of_an_empty_map():
    pixels, levels = thin_levels(np.zeros((5, 5)), np.array([0.5, 0.9]))
    assert pixels.shape == (0, 2)
    assert levels.shape == (2, 0)
