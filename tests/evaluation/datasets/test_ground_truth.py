"""True objects and label images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject, object_from_mask, truth_from_labels


@pytest.fixture
def truth():
    large = TrueObject(1, np.ones((10, 10), bool), (0, 0))
    small = TrueObject(2, np.ones((2, 3), bool), (4, 5))
    crowd = TrueObject(3, np.ones((5, 5), bool), (10, 10), crowd=True)
    return GroundTruth((20, 30), (small, large, crowd))


def test_an_object_knows_its_box_and_area(truth):
    assert truth.objects[0].box == (4, 5, 6, 8)
    assert truth.objects[0].area_px == 6


def test_a_full_mask_has_the_shape_of_the_image(truth):
    mask = truth.objects[0].full_mask((20, 30))
    assert mask.shape == (20, 30)
    assert np.argwhere(mask).min(0).tolist() == [4, 5]


def test_crowds_are_not_scored(truth):
    assert [o.label for o in truth.scored_objects] == [2, 1]


def test_small_objects_lie_on_top_of_large_ones(truth):
    labels = truth.labels()
    assert labels[4, 5] == 2
    assert labels[0, 0] == 1
    assert labels[12, 12] == 0


def test_an_object_is_cropped_to_its_mask():
    mask = np.zeros((9, 9), bool)
    mask[2:4, 5] = True
    cropped = object_from_mask(7, mask, (10, 20), category="cell")
    assert (cropped.label, cropped.box, cropped.category) == (7, (12, 25, 14, 26), "cell")


def test_an_empty_mask_is_no_object():
    assert object_from_mask(1, np.zeros((3, 3), bool), (0, 0)) is None


def test_labels_and_objects_agree(truth):
    labels = truth.labels()
    np.testing.assert_array_equal(truth_from_labels(labels).labels(), labels)
