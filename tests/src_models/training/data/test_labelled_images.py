"""Labelled images and the checks of their labels."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.model_errors import TrainingError
from src_models.training.data.labelled_images import LabelledImage, checked_labels, labelled_image, matches

IMAGE = np.zeros((3, 4, 3), np.uint8)


def test_boxes_are_those_of_the_objects_present():
    labels = np.zeros((6, 8), np.int32)
    labels[1:3, 2:5], labels[4, 7] = 1, 9
    assert LabelledImage("a", np.zeros((6, 8, 3), np.uint8), labels).boxes.tolist() == [[1, 2, 3, 5], [4, 7, 5, 8]]


def test_an_image_is_read_only_if_there_are_objects():
    def fail(shape):
        raise AssertionError("the image was read")

    assert labelled_image("a", "a.tif", np.zeros((3, 4), np.uint8), fail) == "a: no objects"


def test_shapes_must_agree():
    with pytest.raises(TrainingError, match=r"shape \(4, 3\) is not the shape \(3, 4\) of the image"):
        labelled_image("a", "a.tif", np.ones((4, 3), np.uint8), lambda shape: IMAGE)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.ones((2, 2)), "labels are float64"),
        (np.ones((2, 2, 3), int), "are not \\(y, x\\)"),
        (-np.ones((2, 2), int), "label -1 is negative"),
        (np.array([[255, 0, 255]], np.uint8), "black-and-white mask of 2 parts"),
    ],
)
def test_labels_that_cannot_be_used_have_a_remedy(raw, message):
    with pytest.raises(TrainingError, match=message) as caught:
        checked_labels(raw, "a.tif")
    assert caught.value.remedy


def test_labels_far_larger_than_their_number_are_renumbered():
    assert checked_labels(np.array([[0, 5_000_000, 70_000]]), "a.tif").tolist() == [[0, 2, 1]]
    assert checked_labels(np.array([[0, 900, 3]]), "a.tif").tolist() == [[0, 900, 3]]


def test_a_name_matches_any_of_the_patterns():
    assert matches(("x*", "y9"), "y9")
    assert matches(("cells/t0/*",), "cells", "cells/t0/z3")
    assert not matches(("x*",), "y9")
