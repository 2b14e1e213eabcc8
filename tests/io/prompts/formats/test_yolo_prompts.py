"""Boxes, detections and outlines of YOLO's text files."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import keywords, written


def test_boxes_are_fractions_of_the_images_size(tmp_path, image):
    table = read_prompts(written(tmp_path / "a.txt", "0 0.5 0.5 0.2 0.1\n3 0.25 0.1 0.5 0.2 0.75\n"), image)
    assert image.shape == (100, 200)
    np.testing.assert_allclose(table.boxes, [[45, 80, 55, 120], [0, 0, 20, 100]])
    assert table.category == ["0", "3"]
    np.testing.assert_array_equal(table.score, [np.nan, 0.75])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "cell\nfine 'debris', 🧬/2\n"),
        ("obj.names", "cell\nfine 'debris', 🧬/2\n"),
        ("data.yaml", "train: images\nnc: 2\nnames: ['cell', \"fine 'debris', 🧬/2\"]\n"),
        ("data.yaml", "names:\n  0: cell\n  1: fine 'debris', 🧬/2\ntrain: images\n"),
        ("dataset.yaml", "names:\n  - cell\n  - \"fine 'debris', 🧬/2\"\n"),
    ],
)
def test_names_of_classes_come_from_a_file_near_the_annotations(tmp_path, image, name, text):
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / name).write_text(text)
    table = read_prompts(written(tmp_path / "labels/train/a.txt", "1 0.5 0.5 0.2 0.1\n0 0.5 0.5 0.2 0.1\n"), image)
    assert table.category == ["fine 'debris', 🧬/2", "cell"]


def test_an_outline_gives_its_box_and_its_pixels(tmp_path, image):
    path = written(tmp_path / "a.txt", "0 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3\n0 0.5 0.5 0.2 0.1\n")
    table = read_prompts(path, image, masks=True)
    np.testing.assert_allclose(table.boxes[0], [10, 20, 30, 40])
    assert table.mask(0).mask.sum() == 20 * 20
    assert table.mask(1) is None
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=image.shape) as store:
        store.import_(written(tmp_path / "b.txt", "0 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3\n"))
        assert store.table()["area_px"].tolist() == [400]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"without objects; give a file with at least one box"),
        ("0 0.5 0.5 0.2 0.1\n0 0.5 0.5 0.2\n", "line 2: 4 numbers"),
        ("0 0.5 0.5 0.2 0.1\n0 0.5 0.5 0.2 x\n", "line 2: .*are not numbers"),
        ("0 0.5 0.5 0.2 0.1\n\n0 20 30 10 10\n", "line 3: 20 is not a fraction of the image's size"),
        ("0 0.5 0.5 nan 0.1\n", "line 1: nan is not a fraction"),
        ("0.5 0.5 0.5 0.2 0.1\n", "line 1: the class 0.5 is not a whole number"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4\n", "line 1: 8 numbers"),
    ],
)
def test_a_bad_line_is_named(tmp_path, image, text, words):
    with pytest.raises(PromptError, match=words):
        read_prompts(written(tmp_path / "a.txt", text), image)


def test_bad_lines_can_be_left_out(tmp_path, image):
    table = read_prompts(written(tmp_path / "a.txt", "0 0.5 0.5 0.2 0.1\n0 7 7 7 7\n"), image, errors="skip")
    assert len(table) == 1
    assert sum(table.skipped.values()) == 1


def test_a_table_with_names_of_columns_in_a_text_file_is_no_yolo(tmp_path, image):
    table = read_prompts(written(tmp_path / "a.txt", "y0\tx0\ty1\tx1\n1\t2\t30\t40\n"), image)
    assert keywords(table) == [{"box": [1, 2, 30, 40]}]
