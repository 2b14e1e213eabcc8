"""COCO instance files, LVIS and LIVECell."""

from __future__ import annotations

import json
import pickle

import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.coco_format import read_coco_ids
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from tests.evaluation.datasets.dataset_files import BOXES, boxes, coco, save_rgb


def test_objects_may_overlap_and_crowds_do_not_count(tmp_path):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    runs = {"size": [20, 30], "counts": [0, 600]}
    raw["annotations"].append({"id": 3, "image_id": 7, "category_id": 3, "segmentation": runs, "iscrowd": 1})
    (tmp_path / "val.json").write_text(json.dumps(raw))
    (sample,) = find_samples(tmp_path / "val.json")
    truth = sample.truth()
    assert [o.category for o in truth.objects] == ["cell", "field", "cell"]
    assert [o.crowd for o in truth.objects] == [False, False, True]
    assert [o.box for o in truth.scored_objects] == BOXES
    assert sample.number == 7


def test_lvis_has_frequencies_and_image_addresses(tmp_path):
    save_rgb(tmp_path / "val2017" / "000000000007.png")
    raw = coco(
        coco_url="http://images.example/val2017/000000000007.png", neg_category_ids=[5], not_exhaustive_category_ids=[3]
    )
    del raw["images"][0]["file_name"]
    (tmp_path / "lvis_v1_val.json").write_text(json.dumps(raw))
    (sample,) = find_samples(tmp_path / "lvis_v1_val.json", "lvis")
    truth = sample.truth()
    assert [o.frequency for o in truth.objects] == ["f", "r"]
    assert truth.absent == {"field"}
    assert truth.incomplete == {"cell"}


def test_livecell_has_annotations_by_id_and_images_in_folders(tmp_path):
    save_rgb(tmp_path / "images" / "livecell_train_val_images" / "A172" / "a.png")
    raw = coco()
    raw["annotations"] = {str(row["id"]): row for row in raw["annotations"]}
    (tmp_path / "livecell_coco_val.json").write_text(json.dumps(raw))
    (sample,) = find_samples(tmp_path / "livecell_coco_val.json", "livecell")
    assert boxes(sample) == BOXES


def test_images_are_found_by_path_not_by_an_ambiguous_name(tmp_path):
    for folder in ("A", "B"):
        save_rgb(tmp_path / "pictures" / folder / "a.png")
    for name, exists in (("B/a.png", True), ("C/a.png", False), ("a.png", False)):
        (tmp_path / "val.json").write_text(
            json.dumps(coco() | {"images": [{**coco()["images"][0], "file_name": name}]})
        )
        if exists:
            assert find_samples(tmp_path / "val.json")[0].image == tmp_path / "pictures" / "B" / "a.png"
        else:
            with pytest.raises(EvaluationError, match="none of its 1 images"):
                find_samples(tmp_path / "val.json")


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("images", {"latitude": "north", "longitude": 1}, "give degrees"),
        ("annotations", {"category_id": [3]}, "give a number"),
        ("annotations", {"image_id": {}}, "give a number"),
    ],
)
def test_invalid_entries_are_named(tmp_path, table, change, message):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    raw[table][0].update(change)
    (tmp_path / "val.json").write_text(json.dumps(raw))
    with pytest.raises(EvaluationError, match=message):
        find_samples(tmp_path / "val.json")


def test_annotations_of_unknown_images_and_categories_are_refused(tmp_path):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    raw["annotations"][0]["category_id"] = 99
    (tmp_path / "val.json").write_text(json.dumps(raw))
    with pytest.raises(EvaluationError, match="category id 99"):
        find_samples(tmp_path / "val.json")[0].truth()
    raw["annotations"][0]["image_id"] = 8
    (tmp_path / "val.json").write_text(json.dumps(raw))
    with pytest.raises(EvaluationError, match="image id 8"):
        find_samples(tmp_path / "val.json")


def test_ids_and_category_names_are_read(tmp_path):
    (tmp_path / "val.json").write_text(json.dumps(coco()))
    assert read_coco_ids(tmp_path / "val.json") == ({7}, {3: "cell", 5: "field"})


def test_annotations_without_a_mask_are_skipped(tmp_path):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    raw["annotations"][0]["segmentation"] = []
    (tmp_path / "val.json").write_text(json.dumps(raw))
    (only,) = find_samples(tmp_path / "val.json")[0].truth().objects
    assert (only.label, only.box) == (2, BOXES[1])


def test_the_position_of_an_image_is_read(tmp_path):
    save_rgb(tmp_path / "a.png")
    (tmp_path / "val.json").write_text(json.dumps(coco(latitude=48.1, longitude=11.6)))
    assert find_samples(tmp_path / "val.json")[0].position == (48.1, 11.6)


def test_images_need_a_size(tmp_path):
    save_rgb(tmp_path / "a.png")
    (tmp_path / "val.json").write_text(json.dumps(coco(height=0)))
    with pytest.raises(EvaluationError, match="no 'height' and 'width'"):
        find_samples(tmp_path / "val.json")


def test_the_shared_category_tables_of_a_sample_are_small(tmp_path):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    raw["categories"] += [{"id": i, "name": f"unused {i}"} for i in range(10, 1000)]
    (tmp_path / "val.json").write_text(json.dumps(raw))
    assert b"unused" not in pickle.dumps(find_samples(tmp_path / "val.json")[0])


@pytest.mark.parametrize("name", ["C:\\data\\a.png", "/data/upload/4/a.png", "https://host/x/a.png"])
def test_images_listed_under_paths_of_another_machine_are_found(tmp_path, name):
    save_rgb(tmp_path / "images" / "a.png")
    raw = coco()
    raw["images"][0]["file_name"] = name
    (tmp_path / "val.json").write_text(json.dumps(raw))
    (sample,) = find_samples(tmp_path / "val.json")
    assert boxes(sample) == BOXES


def test_a_byte_order_mark_is_passed_over(tmp_path):
    save_rgb(tmp_path / "a.png")
    (tmp_path / "val.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(coco()).encode())
    (sample,) = find_samples(tmp_path / "val.json")
    assert sample.truth().objects
