"""Candidates that stand for the same object."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.concepts.overlaps import Overlaps

LAYOUT = FeatureLayout.of_network("a" * 64, "default", 16)


def squares(*boxes, factor=1):
    """Return candidates that fill their boxes."""
    masks = tuple(np.ones(((y1 - y0) // factor, (x1 - x0) // factor), bool) for y0, x0, y1, x1 in boxes)
    ones = np.ones(len(boxes), np.float32)
    features = np.zeros((len(boxes), LAYOUT.width), np.float32)
    return Candidates(np.array(boxes, np.int64).reshape(-1, 4), masks, ones, ones, features, LAYOUT, factor)


def test_of_two_that_cover_each_other_the_better_is_kept():
    overlaps = Overlaps.of(squares((0, 0, 10, 10), (0, 1, 10, 11), (0, 30, 10, 40)))
    assert overlaps.best(np.array([0.2, 0.9, 0.1])).tolist() == [False, True, True]
    assert overlaps.best(np.array([0.9, 0.2, 0.1])).tolist() == [True, False, True]
    assert overlaps.best(np.array([0.5, 0.5, 0.5])).tolist() == [True, False, True]


def test_a_small_one_on_a_large_one_replaces_it_not_unless_it_covers_it():
    overlaps = Overlaps.of(squares((0, 0, 20, 20), (0, 0, 4, 4)))
    assert overlaps.covered_by == [[], [0]]
    assert overlaps.best(np.array([0.9, 0.2])).tolist() == [True, False]
    assert overlaps.best(np.array([0.2, 0.9])).tolist() == [True, True]


def test_a_chain_keeps_its_ends():
    overlaps = Overlaps.of(squares((0, 0, 10, 10), (0, 6, 10, 16), (0, 12, 10, 22)))
    assert overlaps.best(np.array([0.9, 0.8, 0.7])).tolist() == [True, False, True]


def test_masks_of_reduced_images_and_no_candidates_work_too():
    assert Overlaps.of(squares((0, 0, 8, 8), (0, 4, 8, 12), factor=4)).covered_by == [[1], [0]]
    assert Overlaps.of(squares()).best(np.zeros(0)).tolist() == []
    touching = squares((0, 0, 4, 4), (0, 4, 4, 8))
    assert Overlaps.of(touching).covered_by == [[], []]
