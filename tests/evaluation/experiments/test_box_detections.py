"""Boxes of a detector."""

from __future__ import annotations

import json

import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.box_detections import Detection, read_detections

CATEGORIES = {1: "cell"}


def write(folder, **changes):
    row = {"image_id": 7, "category_id": 1, "bbox": [3, 2, 10, 20], "score": 0.5} | changes
    (folder / "boxes.json").write_text(json.dumps([row]))
    return folder / "boxes.json"


def test_boxes_become_corners(tmp_path):
    assert read_detections(write(tmp_path), CATEGORIES) == {7: [Detection((2, 3, 22, 13), "cell", 0.5)]}


def test_categories_are_optional(tmp_path):
    (found,) = read_detections(write(tmp_path, category_id=None), {})[7]
    assert found.category == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 2, 3]}, "is incomplete"),
        ({"bbox": [1, 2, 0, 4]}, "is not a box"),
        ({"score": float("nan")}, "score is nan"),
        ({"image_id": 8}, "image id 8"),
        ({"category_id": 2}, "category id 2"),
        ({"category_id": [1]}, r"category id \[1\]"),
    ],
)
def test_invalid_detections_are_named(tmp_path, changes, message):
    with pytest.raises(EvaluationError, match=f"detection 0.*{message}"):
        read_detections(write(tmp_path, **changes), CATEGORIES, {7})


@pytest.mark.parametrize(("text", "message"), [("{", "cannot be read as JSON"), ('{"a": 1}', "not detections")])
def test_files_that_hold_no_detections_are_named(tmp_path, text, message):
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_detections(tmp_path / "boxes.json", CATEGORIES)


def test_a_box_is_clipped_to_the_image():
    assert Detection((-5.0, 2.0, 10.0, 99.0), "", 1).clip((8, 20)).box == (0, 2, 8, 20)


def test_a_box_outside_the_image_is_dropped():
    assert Detection((30.0, 0.0, 40.0, 9.0), "", 1).clip((20, 20)) is None
