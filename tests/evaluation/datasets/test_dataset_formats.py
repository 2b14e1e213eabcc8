"""Every data format, on small files made here."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_sam.errors import EvaluationError, NapariSamError
from napari_sam.evaluation.datasets.dataset_formats import FORMATS, find_samples, recognise_format
from tests.evaluation.datasets.dataset_files import LABELS, coco, save_rgb


def test_left_out_files_are_noted(tmp_path, collection):
    notes = []
    pairs, masks = tmp_path / "pairs", tmp_path / "dsb"
    save_rgb(pairs / "a_img.png")
    save_rgb(pairs / "b_img.png")
    Image.fromarray(LABELS).save(pairs / "a_masks.png")
    Image.fromarray(LABELS).save(pairs / "c_masks.png")
    find_samples(pairs, notes=notes)
    assert [n.rpartition("/")[2] for n in notes] == [
        "b_img.png: an image without labels",
        "c_masks.png: labels without an image",
    ]
    (collection / "cells" / "dev" / "a.image.tif").unlink()
    find_samples(collection, notes=notes)
    assert notes[-1].endswith("a.labels.tif: labels without an image")
    save_rgb(masks / "id1" / "images" / "id1.png")
    save_rgb(masks / "id1" / "masks" / "m.png", (LABELS == 4).astype(np.uint8) * 255)
    save_rgb(masks / "id2" / "images" / "id2.png")
    find_samples(masks, notes=notes)
    assert notes[-1].endswith("id2.png: an image without masks")
    raw = coco()
    raw["images"].append({**raw["images"][0], "id": 8, "file_name": "missing.png"})
    save_rgb(tmp_path / "coco" / "a.png")
    (tmp_path / "coco" / "val.json").write_text(json.dumps(raw))
    find_samples(tmp_path / "coco" / "val.json", notes=notes)
    assert "1 of its 2 images do not exist" in notes[-1]


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_an_empty_folder_is_refused_in_every_format(tmp_path, format_name):
    with pytest.raises(NapariSamError):
        find_samples(tmp_path, format_name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[]", "not COCO"),
        ("a.json", json.dumps(coco()), "none of its 1 images exists"),
        ("a.npz", "x", "not TissueNet"),
        ("a.txt", "x", "not labelled images"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(EvaluationError, match=message) as error:
        find_samples(tmp_path / name)
    assert name in str(error.value)


def test_missing_data_are_named(collection):
    with pytest.raises(EvaluationError, match="'cats' is not under"):
        find_samples(collection, only=["cats"])
    with pytest.raises(EvaluationError, match="give one of"):
        find_samples(collection, "voc")
    with pytest.raises(EvaluationError, match="no such file"):
        find_samples(collection / "nothing")
    with pytest.raises(EvaluationError, match="give another split"):
        find_samples(collection, split="test")


def test_only_the_named_data_sets_are_returned(collection):
    assert {sample.dataset for sample in find_samples(collection, only=["cells"])} == {"cells"}


def test_a_folder_without_data_names_what_it_holds(tmp_path):
    (tmp_path / "results").mkdir()
    with pytest.raises(EvaluationError, match="it holds results"):
        recognise_format(tmp_path, "dev")
    (tmp_path / "results" / "val.json").touch()
    with pytest.raises(EvaluationError, match=r"did you mean .*val\.json"):
        recognise_format(tmp_path, "dev")


def test_files_are_recognised_by_their_ending(tmp_path):
    for name, expected in (("a.json", "coco"), ("b.NPZ", "tissuenet")):
        (tmp_path / name).touch()
        assert recognise_format(tmp_path / name, "dev") == expected
