"""Outlines of candidates in colours by score and verdict."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_sam.engine.geometry import Box
from napari_sam.layers.find.found_layer import FoundLayer, score_codes
from napari_sam.layers.find.outline_pixels import OutlinePixels
from tests.layers.find.conftest import PITCH, SIDE, example


def test_outlines_are_rims_in_the_code_of_their_object():
    boxes = np.array([(2, 3, 8, 9), (10, 3, 16, 9)])
    pixels = OutlinePixels.of(boxes, [np.ones((6, 6), bool)] * 2, Box(0, 0, 20, 20))
    drawn = pixels.draw(np.array([5, 0], np.uint8))
    expected = np.zeros((20, 20), np.uint8)
    expected[2:8, 3:9] = 5
    expected[3:7, 4:8] = 0
    np.testing.assert_array_equal(drawn, expected)
    assert pixels.draw(np.array([0, 3], np.uint8), drawn).max() == 3


def test_outlines_are_cut_at_the_region_and_sampled_in_large_ones():
    pixels = OutlinePixels.of(np.array([(-2, -2, 4, 4)]), [np.ones((6, 6), bool)], Box(0, 0, 9000, 20))
    assert pixels.frame.factor == 4
    drawn = pixels.draw(np.array([1], np.uint8))
    assert drawn.shape == (2250, 5)
    assert drawn[0, 0] == 1


def test_masks_of_reduced_images_are_outlined_in_place():
    pixels = OutlinePixels.of(np.array([(8, 4, 16, 12)]), [np.ones((4, 4), bool)], Box(0, 0, 20, 20), factor=2)
    rows, cols = np.nonzero(pixels.draw(np.array([1], np.uint8)))
    assert (rows.min(), cols.min()) == (8, 4)
    assert (rows.max(), cols.max()) == (14, 10)


def test_the_layer_shows_results_by_score_and_verdicts_in_their_colours(search):
    layer = FoundLayer(Image(np.zeros((80, 120), np.uint8), scale=(2, 2), translate=(5, 7)))
    search.decide([1], accepted=True)
    search.decide([2], accepted=False)
    layer.show(search, ())
    data = layer.layer.data
    by_object = [int(data[0, PITCH * i]) for i in range(6)]
    assert by_object[0] == score_codes(search.ranking.scores)[0]
    assert len(set(by_object[:3])) == 3
    assert by_object[3:] == [0, 0, 0]
    assert data[SIDE // 2, SIDE // 2] == 0
    np.testing.assert_allclose(layer.layer.data_to_world((0, 0)), (5, 7))
    search.threshold = 1.0
    layer.show(search, ())
    assert layer.layer.data[0, 0] == 0
    assert layer.layer.data[0, PITCH] == by_object[1]


def test_examples_are_outlined_before_a_search(found):
    layer = FoundLayer(Image(np.zeros((3, 80, 120), np.uint8)))
    candidates = found[0].candidates
    layer.show_examples([example(candidates, 0), example(candidates, 7, accepted=False)], (1,))
    assert len(np.unique(layer.layer.data)) == 3
    np.testing.assert_allclose(layer.layer.data_to_world((0, 2, 2)), (1, 0, 0))
    layer.show_examples([], (1,))
    assert not layer.layer.visible
