"""COCO files with their images: what is read, skipped and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from src_models.training.data.coco_files import decompress
from src_models.training.data.datasets import read_dataset
from tests.src_models.training.data.dataset_files import SHAPE, assert_refused, random_image, save_picture

SQUARE = [1, 1, 4, 1, 4, 4, 1, 4]


def _coco(images, annotations, **more):
    rows = [{"id": i, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]} for i, name in images.items()]
    marks = [{"id": 70 + k, "image_id": i, "segmentation": s, **more} for k, (i, s) in enumerate(annotations)]
    return {"images": rows, "annotations": marks, "categories": []}


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


class TestCoco:
    def test_polygons_and_run_lengths(self, tmp_path):
        save_picture(tmp_path / "a.png", random_image())
        runs = {"size": list(SHAPE), "counts": [36, 2, 10]}
        text = {"size": list(SHAPE), "counts": "Z115"}
        assert decompress("Z115") == [42, 1, 5]
        path = _write(tmp_path / "c.json", _coco({3: "a.png"}, [(3, [SQUARE]), (3, runs), (3, text)]))
        found = read_dataset(path)
        assert (found.name, found.skipped, [p.name for p in found.images]) == ("c.json", (), ["a"])
        want = np.zeros(SHAPE, int)
        want[1:4, 1:4] = 1
        want[0:2, 6] = 2
        want[0, 7] = 3
        np.testing.assert_array_equal(found.images[0].labels, want)
        np.testing.assert_array_equal(found.images[0].image, random_image())

    @pytest.mark.parametrize(
        ("annotations", "image"),
        [
            ("c.json", "x/a.png"),
            ("c.json", "images/x/a.png"),
            ("annotations/c.json", "x/a.png"),
            ("annotations/c.json", "images/x/a.png"),
            ("annotations/instances_val.json", "val/x/a.png"),
            ("annotations/instances_val.json", "images/val/x/a.png"),
        ],
    )
    @pytest.mark.parametrize("written", ["x/a.png", "x\\a.png"])
    def test_where_images_are(self, tmp_path, annotations, image, written):
        save_picture(tmp_path / image, random_image())
        path = _write(tmp_path / annotations, _coco({1: written}, [(1, [SQUARE])]))
        assert [p.name for p in read_dataset(path).images] == ["x/a"]

    def test_skipped_samples_have_a_reason(self, tmp_path):
        for name in "abcd":
            save_picture(tmp_path / f"{name}.png", random_image())
        content = _coco(
            {1: "a.png", 2: "b.png", 3: "c.png", "4": "d.png", 5: "e.png", 6: ""},
            [(1, [SQUARE]), (1, [SQUARE]), (1, []), (3, [SQUARE]), (3, [SQUARE]), ("4", [[1, 1, 1, 1, 1, 1]])],
        )
        content["annotations"][3]["iscrowd"] = content["annotations"][4]["iscrowd"] = 1
        content["annotations"] += [{"image_id": i, "segmentation": [SQUARE]} for i in (5, 6)]
        found = read_dataset(_write(tmp_path / "c.json", content))
        assert [p.name for p in found.images] == ["a"]
        assert found.skipped == (
            "a: objects without a visible pixel: 1 of 2",
            "b: no objects",
            "c: no objects",
            "d: objects without a visible pixel: 1 of 1",
            "e: no image 'e.png' beside c.json or in images",
            ".: no image '' beside c.json or in images",
            "c.json: annotations of crowds: 2",
            "c.json: annotations without a segmentation: 1",
        )

    def test_include_and_channels(self, tmp_path):
        for name in ("u/a.png", "v/a.png", "v/b.png"):
            save_picture(tmp_path / name, random_image())
        content = _coco({1: "u/a.png", 2: "v/a.png", 3: "v/b.png"}, [(i, [SQUARE]) for i in (1, 2, 3)], iscrowd=0)
        content["annotations"].append({"id": 99, "image_id": 3, "iscrowd": 1, "segmentation": {}})
        path = _write(tmp_path / "c.json", content)
        assert [p.name for p in read_dataset(path, ("a",)).images] == ["u/a", "v/a"]
        found = read_dataset(path, ("v/*",), (2,))
        assert [p.name for p in found.images] == ["v/a", "v/b"]
        np.testing.assert_array_equal(found.images[0].image, random_image()[..., [2, 2, 2]])
        assert found.skipped == ("c.json: annotations of crowds: 1",)
        assert read_dataset(path, ("u/*",)).skipped == ()
        assert_refused(path, "no sample matches", include=("w*",))

    def test_sizes_that_the_file_does_not_give(self, tmp_path):
        save_picture(tmp_path / "a.png", random_image())
        content = _coco({1: "a.png"}, [(1, [SQUARE])])
        del content["images"][0]["height"]
        assert len(read_dataset(_write(tmp_path / "c.json", content)).images) == 1

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "cannot be read as JSON"),
            ("{", "cannot be read as JSON"),
            ("[" * 200_000, "cannot be read as JSON"),
            ("[]", "not COCO"),
            ('{"type": "FeatureCollection", "features": []}', "not COCO"),
            ('{"images": []}', "no lists 'images' and 'annotations'"),
            ('{"images": {}, "annotations": []}', "not COCO"),
            ('{"images": [1], "annotations": []}', "not COCO"),
            ('{"images": [], "annotations": []}', "lists no images"),
            ('{"images": [{"id": 1}], "annotations": []}', "{'id': 1} has no 'id' and 'file_name'"),
            ('{"images": [{"id": [1], "file_name": "a"}], "annotations": []}', "has no 'id'"),
        ],
    )
    def test_json_that_is_not_coco(self, tmp_path, text, words):
        (tmp_path / "c.json").write_text(text)
        assert_refused(tmp_path / "c.json", "c.json", words)

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "c.JSON").write_bytes(b"\xff\xfe\x00")
        assert_refused(tmp_path / "c.JSON", "cannot be read as JSON")

    def test_ids_that_do_not_fit(self, tmp_path):
        content = _coco({1: "a.png"}, [(1, [SQUARE]), (9, [SQUARE])])
        assert_refused(_write(tmp_path / "c.json", content), "annotation 71: image id 9 is not in 'images'")
        content["annotations"] = [{"image_id": "1", "segmentation": [SQUARE]}]
        assert_refused(_write(tmp_path / "c.json", content), "annotation number 0: image id '1' is not")
        content["annotations"] = [{"image_id": [1]}]
        assert_refused(_write(tmp_path / "c.json", content), "image id [1] is not")
        content["images"] *= 2
        assert_refused(_write(tmp_path / "c.json", content), "image id 1 occurs twice")

    def test_what_does_not_fit_the_image(self, tmp_path):
        save_picture(tmp_path / "a.png", random_image(shape=(8, 6, 3)))
        path = _write(tmp_path / "c.json", _coco({1: "a.png"}, [(1, [SQUARE])]))
        assert_refused(path, "a.png: shape (8, 6) is not the shape (6, 8) in c.json")
        save_picture(tmp_path / "a.png", random_image())
        path = _write(tmp_path / "c.json", _coco({1: "a.png"}, [(1, {"size": [6, 9], "counts": [54]})]))
        assert_refused(path, "c.json: annotation 70: run lengths of size [6, 9]")
        (tmp_path / "a.png").write_bytes(b"?")
        assert_refused(path, "a.png cannot be read")

    def test_nothing_usable(self, tmp_path):
        path = _write(tmp_path / "c.json", _coco({1: "a.png"}, [(1, [SQUARE])]))
        assert_refused(path, "nothing to train on (a: no image 'a.png'")

    @pytest.mark.parametrize(
        "written",
        ["..\\..\\media\\upload\\4\\a b.png", "/data/upload/a b.png", "https://host/x/a%20b.png", "images/a%20b.png"],
    )
    def test_an_image_listed_under_a_path_of_another_machine_is_found(self, tmp_path, written):
        save_picture(tmp_path / "images" / "a b.png", random_image())
        path = _write(tmp_path / "c.json", _coco({1: written}, [(1, [SQUARE])]))
        np.testing.assert_array_equal(read_dataset(path).images[0].image, random_image())

    def test_names_that_occur_in_two_folders_are_not_looked_for_without_them(self, tmp_path):
        save_picture(tmp_path / "images" / "a.png", random_image())
        content = _coco({1: "/one/a.png", 2: "/two/a.png"}, [(1, [SQUARE]), (2, [SQUARE])])
        assert_refused(_write(tmp_path / "c.json", content), "put the images beside the file")
