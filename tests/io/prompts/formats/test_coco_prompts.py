"""COCO annotations and detections as prompts."""

from __future__ import annotations

import json

import pytest

from napari_sam.errors import PromptError
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import keywords, written


def test_coco_annotations_are_boxes_with_categories(tmp_path, image):
    content = {
        "images": [{"id": 1, "file_name": "a.tif"}],
        "categories": [{"id": 3, "name": "nucleus"}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": [20, 10, 5, 8], "category_id": 3, "score": 0.25}],
    }
    table = read_prompts(written(tmp_path / "c.json", json.dumps(content)), image)
    assert keywords(table) == [{"box": [10, 20, 18, 25]}]
    assert (table.category, table.score.tolist(), table.word) == (["nucleus"], [0.25], "annotation")


def test_coco_detections_of_several_images_need_an_image_id(tmp_path, image):
    path = written(
        tmp_path / "d.json", json.dumps([{"image_id": i, "bbox": [i, 1, 2, 2], "category_id": 1} for i in (4, 5)])
    )
    with pytest.raises(PromptError, match="holds 2 images; choose one with image_id"):
        read_prompts(path, image)
    assert keywords(read_prompts(path, image, image_id=5)) == [{"box": [1, 5, 3, 7]}]
    with pytest.raises(PromptError, match="has images 4, 5"):
        read_prompts(path, image, image_id=6)


def test_an_invalid_coco_box_is_named(tmp_path, image):
    path = written(tmp_path / "d.json", json.dumps([{"bbox": [1, 1, 2, 2]}, {"bbox": [1]}]))
    with pytest.raises(PromptError, match=r"annotation 1: bbox \[1\] is not four numbers"):
        read_prompts(path, image)
    assert read_prompts(path, image, errors="skip").skipped == {"unreadable": 1}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bbox": "1234"}, 'bbox "1234" is not four numbers'),
        ({"bbox": [10**400, 1, 2, 2]}, "bbox .* is not four numbers"),
        ({"bbox": [1, 1, 2, 2], "category_id": [1]}, r"category_id \[1\] is not a number or a word"),
        ({"bbox": [1, 1, 2, 2], "image_id": [1]}, r"image_id \[1\] is not a number or a word"),
    ],
)
def test_a_hostile_coco_annotation_is_named_or_skipped(tmp_path, image, wrong, words):
    path = written(tmp_path / "d.json", json.dumps([{"bbox": [1, 1, 2, 2]}, wrong]))
    with pytest.raises(PromptError, match=f"annotation 1: {words}"):
        read_prompts(path, image)
    table = read_prompts(path, image, errors="skip")
    assert (keywords(table), table.skipped) == ([{"box": [1, 1, 3, 3]}], {"unreadable": 1})


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"categories": None}, "'categories' is null; make it a list"),
        ({"images": None}, "'images' is null; make it a list"),
        ({"categories": [{"id": {}}]}, r"categories\[0\] is .*give it an id"),
        ({"images": [{"id": [1]}]}, r"images\[0\] is .*give it an id"),
    ],
)
def test_a_hostile_coco_head_is_named(tmp_path, image, head, words):
    path = written(tmp_path / "c.json", json.dumps({"annotations": [{"bbox": [1, 1, 2, 2]}], **head}))
    with pytest.raises(PromptError, match=words):
        read_prompts(path, image)


def test_annotations_of_an_image_of_another_size_are_refused(tmp_path, image):
    h, w = image.shape
    content = {"annotations": [{"id": 1, "image_id": 1, "bbox": [20, 10, 5, 8]}]}

    def read(**size):
        document = {**content, "images": [{"id": 1, **size}]}
        return read_prompts(written(tmp_path / "c.json", json.dumps(document)), image)

    assert len(read(height=h, width=w)) == len(read(height=0, width=0)) == len(read()) == 1
    with pytest.raises(PromptError, match=f"of {2 * h} x {2 * w} px, and this one has {h} x {w}"):
        read(height=2 * h, width=2 * w)
