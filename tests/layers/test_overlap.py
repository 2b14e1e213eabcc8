"""What of a mask can be saved beside existing objects: no scraps, and nothing that is mostly covered."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.layers.overlap import cut_prediction, find_overlap
from tests.layers.conftest import prediction


class Drawn:
    """A destination with given labels."""

    def __init__(self, labels):
        self.labels = labels
        self.plane_shape = labels.shape[-2:]

    def labels_in(self, box, plane):
        return self.labels[(*plane, *box.slices)]


@pytest.fixture
def square():
    return np.ones((20, 20), bool)


def test_without_objects_below_the_mask_is_saved_as_it_is(square):
    for writer in (None, Drawn(np.zeros((40, 50), np.uint32))):
        overlap = find_overlap(writer, prediction(square, (30, 40)), (), 0)
        assert (overlap.areas, overlap.share, overlap.text) == ({}, 0, "")
        assert overlap.free() is overlap.mask


def test_a_mask_that_is_half_covered_is_refused_with_the_offer_to_replace(square):
    labels = np.zeros((40, 50), np.uint32)
    labels[:, :10] = 7
    overlap = find_overlap(Drawn(labels), prediction(square), (), 0)
    assert (overlap.areas, overlap.share, overlap.main, overlap.text) == ({7: 200}, 0.5, 7, "to 50 % under object 7")
    with pytest.raises(LabelsError, match=r"50 % under object 7.*press X to replace"):
        overlap.free()


def test_scraps_that_a_cut_leaves_are_not_saved(square):
    labels = np.zeros((40, 50), np.uint32)
    labels[12:, :] = 3
    labels[12:15, 0:2] = 0  # 6 px, connected to the rest
    labels[18, 5:9] = 0  # a scrap of 4 px
    overlap = find_overlap(Drawn(labels), prediction(square), (), 0)
    free = overlap.free()
    assert free[:12].all()
    assert not free[18].any()
    assert free[12:15, 0:2].all()


def test_only_scraps_are_refused_even_if_little_is_covered():
    mask = np.zeros((9, 9), bool)
    mask[::3] = True  # 27 px
    labels = np.zeros((40, 50), np.uint32)
    labels[0:9, 3:5] = 2
    overlap = find_overlap(Drawn(labels), prediction(mask), (), 0)
    with pytest.raises(LabelsError, match="scraps"):
        overlap.free()


def test_the_object_that_gets_the_mask_does_not_count(square):
    labels = np.full((40, 50), 4, np.uint32)
    assert find_overlap(Drawn(labels), prediction(square), (), 0, own=4).areas == {}


def test_a_mask_beyond_the_border_and_on_a_plane_is_compared(square):
    labels = np.zeros((2, 40, 50), np.uint32)
    labels[1, 38:, 48:] = 9
    assert find_overlap(Drawn(labels), prediction(square, (30, 40)), (1,), 0).areas == {9: 4}
    assert find_overlap(Drawn(labels), prediction(square, (30, 40)), (0,), 0).areas == {}


def test_a_cut_prediction_differs_in_one_mask(square):
    whole = prediction(square)
    half = square & (np.arange(20) < 10)
    cut = cut_prediction(whole, 0, half)
    np.testing.assert_array_equal(cut.mask_at(0), half)
    np.testing.assert_array_equal(cut.masks[1:], whole.masks[1:])
