"""What may be trained on: every kind of data set, made here by hand, and every reason to refuse or to leave out."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from src_models.model_errors import TrainingError
from src_models.training.data import datasets
from src_models.training.data.coco_files import decompress, object_mask, render
from src_models.training.data.crops import to_rgb8
from src_models.training.data.datasets import read_dataset

SHAPE = (6, 8)


def _image(seed=0, shape=(*SHAPE, 3), dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def _labels(*numbers, shape=SHAPE, dtype=np.uint8):
    """One object of 2 x 1 pixels for each number, side by side."""
    labels = np.zeros(shape, dtype)
    for i, number in enumerate(numbers or (1, 2)):
        labels[1:3, i] = number
    return labels


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


def _whole(segmentation, shape):
    """An object in its whole image."""
    mask, (y, x) = object_mask(segmentation, shape)
    full = np.zeros(shape, int)
    full[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return full


def _refused(path, *words, **options):
    """Reading fails with one line that has these words."""
    with pytest.raises(TrainingError) as caught:
        read_dataset(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


class TestRunLengths:
    def test_runs_go_down_the_columns(self):
        want = [[0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]]
        assert _whole({"size": [3, 4], "counts": [1, 2, 4, 1, 4]}, (3, 4)).tolist() == want

    @pytest.mark.parametrize(
        ("counts", "want"),
        [
            ([0, 2, 4], [[1, 0, 0], [1, 0, 0]]),
            ([4, 2], [[0, 0, 1], [0, 0, 1]]),
            ([0, 6], [[1, 1, 1], [1, 1, 1]]),
            ([1, 4, 1], [[0, 1, 1], [1, 1, 0]]),
            ([1, 0, 2, 1, 2], [[0, 0, 0], [0, 1, 0]]),
            ([6], [[0, 0, 0], [0, 0, 0]]),
        ],
    )
    def test_runs_at_the_borders(self, counts, want):
        assert _whole({"size": [2, 3], "counts": counts}, (2, 3)).tolist() == want

    @pytest.mark.parametrize(
        ("text", "counts"),
        [
            ("5220003", [5, 2, 2, 2, 2, 2, 5]),  # from the fourth on, the difference to the run two before
            ("`j8l6`2cI_N11Vb0", [9040, 220, 80, 15, 31, 16, 32, 598]),  # by pycocotools 2.0.11
            ("o0", [31]),  # 31 = 31 + 0·32, and 16 must not become the sign
            ("", []),
        ],
    )
    def test_compressed_runs(self, text, counts):
        assert decompress(text) == counts

    def test_a_compressed_object(self):
        mask = _whole({"size": [4, 5], "counts": "5220003"}, (4, 5))
        want = np.zeros((4, 5), int)
        want[1:3, 1:4] = 1
        np.testing.assert_array_equal(mask, want)

    @pytest.mark.parametrize("text", ["5 2", "5é", "52\x7f", "P", "o" * 40])
    def test_broken_strings(self, text):
        with pytest.raises(TrainingError, match="no compressed run length"):
            decompress(text)

    @pytest.mark.parametrize(
        ("segmentation", "words"),
        [
            ({"size": [8, 6], "counts": [48]}, r"size \[8, 6\] do not fit the image's \[6, 8\]"),
            ({"counts": [48]}, "size None"),
            ({"size": [6, 8], "counts": [40, 7]}, "add up to 47, not to the 6 x 8 pixels"),
            ({"size": [6, 8], "counts": [50, -2]}, "are no run lengths"),
            ({"size": [6, 8], "counts": [47.5, 0.5]}, "are no run lengths"),
            ({"size": [6, 8]}, "counts None are no run lengths"),
            ([[1, 1, 2, 2, 3]], "is not a polygon"),
            ([[1, 1, 2, "b", 3, 3]], "is not a polygon"),
            ([[1, 1, 2, float("nan"), 3, 3]], "is not a polygon"),
            ([[1, 1, 2, 1e300, 3, 3]], "is not a polygon"),
            ([[[1, 1], [2, 2], [3, 3]]], "is not a polygon"),
            ([1, 1, 5, 1, 5, 5], "give lists"),
            ("all", "is not a polygon"),
        ],
    )
    def test_broken_segmentations(self, segmentation, words):
        with pytest.raises(TrainingError, match=f"annotation 5: .*{words}"):
            object_mask(segmentation, SHAPE, "annotation 5")


class TestPolygons:
    def test_a_pixel_belongs_to_the_polygon_that_holds_its_centre(self):
        triangle = [[0, 0, 4, 0, 0, 4]]
        assert _whole(triangle, (4, 4)).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
        assert _whole([[0.6, 0, 2.4, 0, 2.4, 1, 0.6, 1]], (1, 4)).tolist() == [[0, 1, 0, 0]]

    def test_a_notch(self):
        want = [
            [1, 1, 1, 1, 1, 1, 1, 1],
            [1, 1, 1, 1, 1, 1, 1, 1],
            [1, 1, 1, 1, 1, 1, 1, 1],  # the notch is from 3.67 to 4.33 and holds no centre
            [1, 1, 1, 0, 0, 1, 1, 1],
            [1, 1, 0, 0, 0, 0, 1, 1],
            [1, 1, 0, 0, 0, 0, 1, 1],
            [1, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ]
        assert _whole([[0, 0, 8, 0, 8, 8, 4, 2, 0, 8]], (8, 8)).tolist() == want

    def test_polygons_of_one_object_are_joined(self):
        square = [0, 0, 2, 0, 2, 2, 0, 2]
        assert _whole([square, [1, 1, 3, 1, 3, 3, 1, 3]], (3, 3)).tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]

    def test_what_lies_outside_is_cut_off(self):
        assert _whole([[-5, -5, 2, -5, 2, 1, -5, 1]], (2, 3)).tolist() == [[1, 1, 0], [0, 0, 0]]
        assert _whole([[50, 50, 60, 50, 60, 60]], (2, 3)).sum() == 0
        assert _whole([[-9, -9, 9, -9, 9, 9, -9, 9]], (2, 3)).all()

    @pytest.mark.parametrize("flat", [[], [[]], [[1, 1]], [[1, 1, 3, 3]], [[1, 1, 1, 1, 1, 1]]])
    def test_no_area_no_pixels(self, flat):
        assert _whole(flat, (4, 4)).sum() == 0

    def test_against_points_in_polygons(self, rng):
        from skimage.measure import points_in_poly

        yy, xx = np.mgrid[:30, :40] + 0.5
        for _ in range(30):
            polygon = rng.random((9, 2)) * [50, 40] - 5
            want = points_in_poly(np.c_[xx.ravel(), yy.ravel()], polygon).reshape(30, 40)
            np.testing.assert_array_equal(_whole([polygon.ravel().tolist()], (30, 40)), want)


def test_small_objects_lie_on_top_whatever_the_order():
    small, large = [[2, 2, 3, 2, 3, 3, 2, 3]], [[1, 1, 5, 1, 5, 5, 1, 5]]
    for order in ((small, large), (large, small)):
        labels, hidden = render([("a", order[0]), ("b", order[1])], (6, 6))
        assert hidden == 0
        assert labels[2, 2] == 1 + order.index(small)
        assert (labels == 1 + order.index(large)).sum() == 15
    labels, hidden = render([("a", large), ("b", large), ("c", [[9, 9, 9, 9, 9, 9]])], (6, 6))
    assert hidden == 2
    assert np.unique(labels).tolist() == [0, 2]


LAYOUTS = {
    "ours": ("a.image.png", "a.labels.tif"),
    "ours, PNG": ("a.image.tif", "a.labels.png"),
    "cellpose": ("a.tif", "a_masks.tif"),
    "cellpose, one mask": ("a.jpg", "a_mask.png"),
    "cellpose, img": ("a_img.png", "a_masks.png"),
    "cellpose's output": ("a.png", "a_cp_masks.png"),
    "stardist": ("images/a.tif", "labels/a.tif"),
    "stardist, masks": ("images/a.png", "masks/a.tif"),
    "ome-tiff": ("a.ome.tif", "a_masks.tif"),
}


class TestFolder:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_layouts(self, tmp_path, layout):
        image, labels = LAYOUTS[layout]
        _save(tmp_path / image, _image())
        _save(tmp_path / labels, _labels(1, 2, 7, dtype=np.uint16))
        found = read_dataset(tmp_path)
        assert found.name == tmp_path.name
        assert found.skipped == ()
        assert [p.name for p in found.pairs] == ["a"]
        pair = found.pairs[0]
        assert (pair.image.dtype, pair.labels.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(pair.labels, _labels(1, 2, 7))  # gaps stay
        assert len(pair.boxes) == 3
        if not image.endswith("jpg"):
            np.testing.assert_array_equal(pair.image, _image())

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, ">u2"])
    def test_integer_labels(self, tmp_path, dtype):
        _save(tmp_path / "a.tif", _image())
        _save(tmp_path / "a_masks.tif", _labels(3, 100, dtype=dtype))
        assert np.unique(read_dataset(tmp_path).pairs[0].labels).tolist() == [0, 3, 100]

    def test_far_labels_are_renumbered_in_order(self, tmp_path):
        _save(tmp_path / "a.tif", _image())
        _save(tmp_path / "a_masks.tif", _labels(2**40, 5, 2**31, dtype=np.uint64))
        np.testing.assert_array_equal(read_dataset(tmp_path).pairs[0].labels, _labels(3, 1, 2))

    def test_near_labels_stay(self, tmp_path):
        _save(tmp_path / "a.tif", _image())
        _save(tmp_path / "a_masks.tif", _labels(1001, 5, dtype=np.uint16))
        assert read_dataset(tmp_path).pairs[0].labels.max() == 1001

    def test_a_label_of_every_pixel_without_background(self, tmp_path):
        _save(tmp_path / "a.tif", _image())
        labels = np.arange(1, 49).reshape(SHAPE) * 10**8
        _save(tmp_path / "a_masks.tif", labels)
        np.testing.assert_array_equal(read_dataset(tmp_path).pairs[0].labels, labels // 10**8)

    def test_a_palette_gives_indices_to_labels_and_colours_to_images(self, tmp_path):
        palette = Image.fromarray(_labels())
        palette.putpalette([0, 0, 0, 250, 10, 20, 30, 240, 40])
        palette.save(tmp_path / "a.png")
        palette.save(tmp_path / "a_mask.png")
        pair = read_dataset(tmp_path).pairs[0]
        np.testing.assert_array_equal(pair.labels, _labels())
        assert pair.image[1, 1].tolist() == [30, 240, 40]

    def test_what_cellpose_leaves_is_no_image(self, tmp_path):
        _save(tmp_path / "a.tif", _image())
        _save(tmp_path / "a_masks.tif", _labels())
        _save(tmp_path / "a_flows.tif", _image())
        (tmp_path / "a_seg.npy").write_bytes(b"pickle")
        (tmp_path / "._a.tif").write_bytes(b"macOS")
        assert read_dataset(tmp_path).skipped == ()

    def test_what_is_left_out(self, tmp_path):
        for name in "abc":
            _save(tmp_path / f"{name}.tif", _image())
        _save(tmp_path / "a_masks.tif", _labels())
        _save(tmp_path / "b_masks.tif", np.zeros(SHAPE, np.uint8))
        _save(tmp_path / "d_masks.tif", _labels())
        found = read_dataset(tmp_path)
        assert [p.name for p in found.pairs] == ["a"]
        assert found.skipped == ("b: no objects", "c: no label file", "d: no image")

    def test_include(self, tmp_path):
        for name in ("x1", "x2", "y1"):
            _save(tmp_path / f"{name}.tif", _image())
            _save(tmp_path / f"{name}_masks.tif", _labels())
        assert [p.name for p in read_dataset(tmp_path, ("x*", "y9")).pairs] == ["x1", "x2"]
        _refused(tmp_path, "no sample matches include ('z*',)", include=("z*",))

    def test_channels(self, tmp_path):
        many = _image(shape=(*SHAPE, 5))
        tifffile.imwrite(tmp_path / "a.tif", many, photometric="minisblack", planarconfig="contig")
        tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(many, -1, 0), photometric="minisblack")
        _save(tmp_path / "a_masks.tif", _labels())
        _save(tmp_path / "b_masks.tif", _labels())
        for pair in read_dataset(tmp_path).pairs:
            np.testing.assert_array_equal(pair.image, many[..., :3])
        for pair in read_dataset(tmp_path, channels=(4, 0, 2)).pairs:
            np.testing.assert_array_equal(pair.image, many[..., [4, 0, 2]])
        for pair in read_dataset(tmp_path, channels=(3,)).pairs:
            np.testing.assert_array_equal(pair.image, many[..., [3, 3, 3]])
        _refused(tmp_path, "a.tif", "channels (0, 1, 5)", "0 to 4", channels=(0, 1, 5))
        _refused(tmp_path, "channels (0, 1)", "give three", channels=(0, 1))
        _refused(tmp_path, "channels ()", "give three", channels=())

    def test_values_that_are_no_numbers_are_dark(self, tmp_path):
        image = _image(shape=SHAPE).astype(np.float32) + 10
        filled = image.copy()
        image[0, :3] = np.nan, np.inf, -np.inf
        filled[0, :3] = image[np.isfinite(image)].min()
        _save(tmp_path / "a.tif", image)
        _save(tmp_path / "a_masks.tif", _labels())
        _save(tmp_path / "b.tif", np.full(SHAPE, np.nan, np.float32))
        _save(tmp_path / "b_masks.tif", _labels())
        a, b = read_dataset(tmp_path).pairs
        np.testing.assert_array_equal(a.image, to_rgb8(filled))
        assert not b.image.any()

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (_labels(shape=(8, 6)), ["shape (8, 6) is not its image's (6, 8)", "make them equal"]),
            (_labels(dtype=np.float32), ["float32", "save them as integers"]),
            (_labels(-3, dtype=np.int16), ["label -3 is negative"]),
            (np.stack([_labels()] * 2), ["(2, 6, 8)", "one integer for each pixel"]),
            (_image(), ["(6, 8, 3)", "one integer for each pixel"]),
        ],
    )
    def test_labels_that_are_refused(self, tmp_path, labels, words):
        _save(tmp_path / "a.image.tif", _image())
        _save(tmp_path / "a.labels.tif", labels)
        _refused(tmp_path, "a.labels.tif", *words)

    def test_black_and_white_masks(self, tmp_path):
        _save(tmp_path / "a.png", _image())
        one, two = _labels(255, 255), _labels(255, 0, 255)
        for parts in (one, one > 0):
            _save(tmp_path / "a_mask.png", parts)
            assert np.unique(read_dataset(tmp_path).pairs[0].labels).tolist() == [0, 255]
        for parts in (two, two > 0):
            _save(tmp_path / "a_mask.png", parts)
            _refused(tmp_path, "a_mask.png", "2 parts", "skimage.measure.label")
        _save(tmp_path / "a_mask.png", np.minimum(two, 1))
        assert len(read_dataset(tmp_path).pairs[0].boxes) == 1  # one object, by its own number

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a_masks.png", "a_masks.tif"])
    @pytest.mark.parametrize("content", [b"", b"not a picture", b"II*\0\x08\0\0\0\xff\xff"])
    def test_unreadable_files(self, tmp_path, name, content):
        other = "a_masks.png" if "masks" not in name else "a.png"
        _save(tmp_path / other, _labels())
        (tmp_path / name).write_bytes(content)
        _refused(tmp_path, f"{name}: cannot be read as an image")

    def test_a_file_that_is_cut_off(self, tmp_path):
        _save(tmp_path / "a_masks.png", _labels())
        _save(tmp_path / "a.png", _image(shape=(200, 200, 3)))
        (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
        _refused(tmp_path, "a.png: cannot be read")

    def test_jpeg_labels(self, tmp_path):
        _save(tmp_path / "a.png", _image())
        _save(tmp_path / "a_mask.jpg", _labels())
        _refused(tmp_path, "a_mask.jpg", "TIFF or PNG")

    def test_pictures_of_something_else(self, tmp_path):
        _save(tmp_path / "a_masks.tif", _labels())
        _save(tmp_path / "a.tif", _image(shape=SHAPE).astype(np.complex64))
        _refused(tmp_path, "a.tif", "complex64", "convert")
        tifffile.imwrite(tmp_path / "a.tif", _image(shape=(2, 2, *SHAPE)), photometric="minisblack")
        _refused(tmp_path, "a.tif", "(2, 2, 6, 8)", "single planes")

    def test_two_files_for_one_sample(self, tmp_path):
        _save(tmp_path / "a.png", _image())
        _save(tmp_path / "a_masks.png", _labels())
        _save(tmp_path / "a_mask.tif", _labels())
        _refused(tmp_path, "a has two label files, a_mask.tif and a_masks.png", "keep one")
        (tmp_path / "a_mask.tif").unlink()
        _save(tmp_path / "a_img.tif", _image())
        _refused(tmp_path, "a has two images, a.png and a_img.tif")

    def test_both_labels_and_masks(self, tmp_path):
        for folder in ("images", "labels", "masks"):
            _save(tmp_path / folder / "a.tif", _labels())
        _refused(tmp_path, "both labels and masks")

    def test_nothing_usable(self, tmp_path):
        for i in range(5):
            _save(tmp_path / f"a{i}.tif", _image())
            _save(tmp_path / f"a{i}_masks.tif", np.zeros(SHAPE, np.uint8))
        _refused(tmp_path, "nothing to train on (a0: no objects; a1: no objects; a2: no objects and 2 more)")

    def test_no_pairs(self, tmp_path):
        _refused(tmp_path, "no training pairs", "NAME_masks.*")
        _save(tmp_path / "a.tif", _image())
        _refused(tmp_path, "no training pairs")
        (tmp_path / "instances.json").write_text("{}")
        _refused(tmp_path, "did you mean instances.json?")

    def test_no_such_place(self, tmp_path):
        _refused(tmp_path / "none", "none: no such file or folder")
        (tmp_path / "a.csv").write_text("x")
        _refused(tmp_path / "a.csv", "a.csv: not a training data set", "OME-Zarr")

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a_masks.png", "a_masks.tif"])
    def test_images_too_large(self, tmp_path, monkeypatch, name):
        small, large = (2, 3), (7, 8)
        other = "a.png" if "masks" in name else "a_masks.png"
        _save(tmp_path / other, _labels(shape=small))
        _save(tmp_path / name, _labels(shape=large))
        monkeypatch.setattr(datasets, "_MAX_PX", 50)
        _refused(tmp_path, f"{name}: 7 x 8 pixels are more than 50", "tile it")

    def test_too_many_channels(self, tmp_path, monkeypatch):
        _save(tmp_path / "a_masks.tif", _labels())
        tifffile.imwrite(tmp_path / "a.tif", _image(shape=(5, *SHAPE)), photometric="minisblack")
        monkeypatch.setattr(datasets, "_MAX_PX", 50)
        _refused(tmp_path, "a.tif: 240 values", "200", "tile it")

    def test_pillows_own_limit(self, tmp_path, monkeypatch):
        _save(tmp_path / "a.png", _image())
        _save(tmp_path / "a_masks.png", _labels())
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
        assert len(read_dataset(tmp_path).pairs) == 1  # Pillow would warn
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
        _refused(tmp_path, "too large", "tile it")

    def test_real_pairs(self, shared):
        found = read_dataset(shared / "data" / "usiigaci_t98g" / "dev")
        assert len(found.pairs) == 6
        assert all(p.image.shape[:2] == p.labels.shape for p in found.pairs)


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
        _save(tmp_path / "a.png", _image())
        runs = {"size": list(SHAPE), "counts": [36, 2, 10]}
        text = {"size": list(SHAPE), "counts": "Z115"}
        assert decompress("Z115") == [42, 1, 5]
        path = _write(tmp_path / "c.json", _coco({3: "a.png"}, [(3, [SQUARE]), (3, runs), (3, text)]))
        found = read_dataset(path)
        assert (found.name, found.skipped, [p.name for p in found.pairs]) == ("c.json", (), ["a"])
        want = np.zeros(SHAPE, int)
        want[1:4, 1:4] = 1
        want[0:2, 6] = 2
        want[0, 7] = 3
        np.testing.assert_array_equal(found.pairs[0].labels, want)
        np.testing.assert_array_equal(found.pairs[0].image, _image())

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
        _save(tmp_path / image, _image())
        path = _write(tmp_path / annotations, _coco({1: written}, [(1, [SQUARE])]))
        assert [p.name for p in read_dataset(path).pairs] == ["x/a"]

    def test_what_is_left_out(self, tmp_path):
        for name in "abcd":
            _save(tmp_path / f"{name}.png", _image())
        content = _coco(
            {1: "a.png", 2: "b.png", 3: "c.png", "4": "d.png", 5: "e.png", 6: ""},
            [(1, [SQUARE]), (1, [SQUARE]), (1, []), (3, [SQUARE]), (3, [SQUARE]), ("4", [[1, 1, 1, 1, 1, 1]])],
        )
        content["annotations"][3]["iscrowd"] = content["annotations"][4]["iscrowd"] = 1
        content["annotations"] += [{"image_id": i, "segmentation": [SQUARE]} for i in (5, 6)]
        found = read_dataset(_write(tmp_path / "c.json", content))
        assert [p.name for p in found.pairs] == ["a"]
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
            _save(tmp_path / name, _image())
        content = _coco({1: "u/a.png", 2: "v/a.png", 3: "v/b.png"}, [(i, [SQUARE]) for i in (1, 2, 3)], iscrowd=0)
        content["annotations"].append({"id": 99, "image_id": 3, "iscrowd": 1, "segmentation": {}})
        path = _write(tmp_path / "c.json", content)
        assert [p.name for p in read_dataset(path, ("a",)).pairs] == ["u/a", "v/a"]
        found = read_dataset(path, ("v/*",), (2,))
        assert [p.name for p in found.pairs] == ["v/a", "v/b"]
        np.testing.assert_array_equal(found.pairs[0].image, _image()[..., [2, 2, 2]])
        assert found.skipped == ("c.json: annotations of crowds: 1",)
        assert read_dataset(path, ("u/*",)).skipped == ()
        _refused(path, "no sample matches", include=("w*",))

    def test_sizes_that_the_file_does_not_give(self, tmp_path):
        _save(tmp_path / "a.png", _image())
        content = _coco({1: "a.png"}, [(1, [SQUARE])])
        del content["images"][0]["height"]
        assert len(read_dataset(_write(tmp_path / "c.json", content)).pairs) == 1

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
        _refused(tmp_path / "c.json", "c.json", words)

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "c.JSON").write_bytes(b"\xff\xfe\x00")
        _refused(tmp_path / "c.JSON", "cannot be read as JSON")

    def test_ids_that_do_not_fit(self, tmp_path):
        content = _coco({1: "a.png"}, [(1, [SQUARE]), (9, [SQUARE])])
        _refused(_write(tmp_path / "c.json", content), "annotation 71: image id 9 is not in 'images'")
        content["annotations"] = [{"image_id": "1", "segmentation": [SQUARE]}]
        _refused(_write(tmp_path / "c.json", content), "annotation number 0: image id '1' is not")
        content["annotations"] = [{"image_id": [1]}]
        _refused(_write(tmp_path / "c.json", content), "image id [1] is not")
        content["images"] *= 2
        _refused(_write(tmp_path / "c.json", content), "image id 1 is there twice")

    def test_what_does_not_fit_the_image(self, tmp_path):
        _save(tmp_path / "a.png", _image(shape=(8, 6, 3)))
        path = _write(tmp_path / "c.json", _coco({1: "a.png"}, [(1, [SQUARE])]))
        _refused(path, "a.png: shape (8, 6) is not (6, 8) as c.json says")
        _save(tmp_path / "a.png", _image())
        path = _write(tmp_path / "c.json", _coco({1: "a.png"}, [(1, {"size": [6, 9], "counts": [54]})]))
        _refused(path, "c.json: annotation 70: run lengths of size [6, 9]")
        (tmp_path / "a.png").write_bytes(b"?")
        _refused(path, "a.png: cannot be read")

    def test_nothing_usable(self, tmp_path):
        path = _write(tmp_path / "c.json", _coco({1: "a.png"}, [(1, [SQUARE])]))
        _refused(path, "nothing to train on (a: no image 'a.png'")


def _multiscale(group, array, axes, version, **more):
    """Write an OME-Zarr image by hand: level 0 and its metadata."""
    level = group.create_array("0", shape=array.shape, chunks=array.shape, dtype=array.dtype)
    level[...] = array
    scale = [{"type": "scale", "scale": [1.0] * array.ndim}]
    kinds = {"t": "time", "c": "channel"}
    content = {
        "multiscales": [
            {
                "axes": [{"name": a, "type": kinds.get(a, "space")} for a in axes],
                "datasets": [{"path": "0", "coordinateTransformations": scale}],
            }
        ],
        **more,
    }
    _attributes(group, content, version)


def _attributes(group, content, version):
    if version == "0.5":
        content = {"ome": {"version": "0.5", **content}}
    elif "multiscales" in content:
        content["multiscales"][0]["version"] = version
    group.attrs.update(content)


def _group(path, version):
    return zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)


def _ome_zarr(path, image, axes, labels, label_axes=None, version="0.5"):
    """An image with labels/NAME for each item of `labels`."""
    group = _group(path, version)
    _multiscale(group, image, axes, version)
    inner = group.create_group("labels")
    _attributes(inner, {"labels": list(labels)}, version)
    for name, array in labels.items():
        about = {"image-label": {"source": {"image": "../../"}}}
        _multiscale(inner.create_group(name), array, label_axes or axes.replace("c", ""), version, **about)
    return path


@pytest.fixture(params=["0.4", "0.5"])
def version(request):
    return request.param


class TestOmeZarr:
    def test_one_plane(self, tmp_path, version):
        image, labels = _image(), _labels(1, 2, 7, dtype=np.uint32)
        path = _ome_zarr(tmp_path / "a.zarr", image, "yxc", {"cells": labels}, version=version)
        found = read_dataset(path)
        assert (found.name, found.skipped, [p.name for p in found.pairs]) == ("a.zarr", (), ["cells"])
        assert found.pairs[0].labels.dtype == np.int32
        np.testing.assert_array_equal(found.pairs[0].labels, labels)
        np.testing.assert_array_equal(found.pairs[0].image, image)

    @pytest.mark.parametrize("axes", ["tczyx", "zctyx", "xyzct", "cxtyz"])
    @pytest.mark.parametrize("label_axes", ["tzyx", "xyzt", "zctyx"])
    def test_planes_in_any_order(self, tmp_path, version, axes, label_axes):
        rng = np.random.default_rng(0)
        sizes = {"t": 2, "c": 4, "z": 3, "y": 6, "x": 8}
        image = rng.integers(0, 255, tuple(sizes.values())).astype(np.uint8)
        labels = rng.integers(0, 9, (2, 1, 3, 6, 8)).astype(np.uint16)
        labels[1, 0, 2] = 0
        turned = image.transpose(["tczyx".index(a) for a in axes])
        given = labels if "c" in label_axes else labels[:, 0]
        own = "tczyx" if "c" in label_axes else "tzyx"
        turned_labels = given.transpose([own.index(a) for a in label_axes])
        path = _ome_zarr(tmp_path / "a.zarr", turned, axes, {"n": turned_labels}, label_axes, version)
        found = read_dataset(path, channels=(3, 0, 1))
        assert [p.name for p in found.pairs] == ["n/t0/z0", "n/t0/z1", "n/t0/z2", "n/t1/z0", "n/t1/z1"]
        assert found.skipped == ("n/t1/z2: no objects",)
        for pair, (t, z) in zip(found.pairs, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], strict=True):
            np.testing.assert_array_equal(pair.labels, labels[t, 0, z])
            np.testing.assert_array_equal(pair.image, image[t, [3, 0, 1], z].transpose(1, 2, 0))

    def test_default_channels(self, tmp_path, version):
        image = _image(shape=(2, 4, *SHAPE))
        path = _ome_zarr(tmp_path / "a.zarr", image, "zcyx", {"n": np.stack([_labels()] * 2)}, "zyx", version)
        found = read_dataset(path, ("n/z1",))
        assert [p.name for p in found.pairs] == ["n/z1"]
        np.testing.assert_array_equal(found.pairs[0].image, image[1, :3].transpose(1, 2, 0))
        two = _ome_zarr(tmp_path / "b.zarr", image[0, :2], "cyx", {"n": _labels()}, version=version)
        np.testing.assert_array_equal(read_dataset(two).pairs[0].image, image[0, [0, 0, 0]].transpose(1, 2, 0))
        grey = _ome_zarr(tmp_path / "c.zarr", image[0, 0], "yx", {"n": _labels()}, version=version)
        np.testing.assert_array_equal(read_dataset(grey).pairs[0].image, image[0, [0, 0, 0]].transpose(1, 2, 0))
        _refused(two, "b.zarr: channels (0, 1, 2)", "0 to 1", channels=(0, 1, 2))

    def test_deep_images_are_stretched_as_elsewhere(self, tmp_path, version):
        image = _image(shape=SHAPE, dtype=np.uint16) * 300
        path = _ome_zarr(tmp_path / "a.zarr", image, "yx", {"n": _labels()}, version=version)
        np.testing.assert_array_equal(read_dataset(path).pairs[0].image, to_rgb8(image))

    def test_several_label_images(self, tmp_path, version):
        labels = {"cells": _labels(1), "nuclei": _labels(2), "none": np.zeros(SHAPE, np.uint8)}
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", labels, version=version)
        found = read_dataset(path)
        assert [p.name for p in found.pairs] == ["cells", "nuclei"]
        assert found.skipped == ("none: no objects",)
        assert [p.name for p in read_dataset(path, ("nuc*",)).pairs] == ["nuclei"]
        assert [p.name for p in read_dataset(path / "labels").pairs] == ["cells", "nuclei"]
        only = read_dataset(path / "labels" / "cells")
        assert [(only.name, p.name) for p in only.pairs] == [("cells", "cells")]
        np.testing.assert_array_equal(only.pairs[0].image, _image())
        _refused(path, "no sample matches include", include=("x",))

    def test_labels_that_are_listed_but_gone(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"cells": _labels()}, version=version)
        inner = zarr.open_group(path / "labels", mode="r+")
        _attributes(inner, {"labels": ["cells", "gone"]}, version)
        assert read_dataset(path).skipped == ("gone: no label image, though the metadata list it",)
        assert read_dataset(path, ("cells",)).skipped == ()

    def test_labels_that_are_not_listed(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"cells": _labels()}, version=version)
        zarr.open_group(path / "labels", mode="r+").attrs.clear()
        assert [p.name for p in read_dataset(path).pairs] == ["cells"]

    @pytest.mark.parametrize("given", ["../raw.zarr", "{}/raw.zarr", "file://{}/raw.zarr", "../picture.png"])
    def test_an_image_elsewhere(self, tmp_path, version, given):
        raw, picture = _image(1), _image(2)
        _multiscale(_group(tmp_path / "raw.zarr", version), raw, "yxc", version)
        _save(tmp_path / "picture.png", picture)
        about = {"image-label": {"source": {"image": given.format(tmp_path)}}}
        _multiscale(_group(tmp_path / "cells.ome.zarr", version), _labels(), "yx", version, **about)
        pair = read_dataset(tmp_path / "cells.ome.zarr").pairs[0]
        assert pair.name == "cells.ome.zarr"
        np.testing.assert_array_equal(pair.image, picture if "picture" in given else raw)
        np.testing.assert_array_equal(pair.labels, _labels())

    @pytest.mark.parametrize("about", [{}, {"source": {"image": "/gone.zarr"}}, {"source": 3}, None])
    def test_labels_inside_fall_back_to_the_image_around_them(self, tmp_path, version, about):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"n": _labels()}, version=version)
        inner = zarr.open_group(path / "labels" / "n", mode="r+")
        content = dict(inner.attrs)
        (content["ome"] if version == "0.5" else content)["image-label"] = about
        inner.attrs.update(content)
        for place in (path, path / "labels" / "n"):
            np.testing.assert_array_equal(read_dataset(place).pairs[0].image, _image())

    @pytest.mark.parametrize("given", [None, "../gone.zarr", "https://example.org/a.zarr"])
    def test_an_image_that_is_gone(self, tmp_path, version, given):
        about = {"image-label": {"source": {"image": given}} if given else {}}
        _multiscale(_group(tmp_path / "cells.zarr", version), _labels(), "yx", version, **about)
        _refused(tmp_path / "cells.zarr", f"cells.zarr: no image at {given!r}", "image-label/source/image")

    def test_labels_that_do_not_fit(self, tmp_path, version):
        def refused(image, axes, labels, label_axes, *words):
            path = _ome_zarr(tmp_path / "a.zarr", image, axes, {"n": labels}, label_axes, version)
            _refused(path, "labels/n", *words)

        refused(_image(), "yxc", _labels(shape=(3, 4)), "yx", "shape (3, 4) is not its image's (6, 8)")
        refused(_image(), "yxc", np.stack([_labels()] * 2), "zyx", "(1, 2) planes in t and z", "has (1, 1)")
        refused(_image(shape=(2, *SHAPE)), "tyx", _labels(), "yx", "(1, 1) planes", "has (2, 1)")
        refused(_image(), "yxc", np.stack([_labels()] * 2), "cyx", "labels have 2 channels")
        refused(_image(), "yxc", _labels(dtype=np.float64), "yx", "float64", "save them as integers")
        refused(_image(), "yxc", _labels(-1, dtype=np.int32), "yx", "label -1 is negative")

    def test_planes_of_a_picture_file(self, tmp_path, version):
        _save(tmp_path / "a.png", _image())
        about = {"image-label": {"source": {"image": "../a.png"}}}
        labels = np.stack([_labels()] * 2)
        _multiscale(_group(tmp_path / "n.zarr", version), labels, "zyx", version, **about)
        _refused(tmp_path / "n.zarr", "(1, 2) planes", "a.png has (1, 1)")

    def test_large_labels_are_renumbered(self, tmp_path, version):
        labels = _labels(2**32 - 1, 5, dtype=np.uint32)
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"n": labels}, version=version)
        np.testing.assert_array_equal(read_dataset(path).pairs[0].labels, _labels(2, 1))

    def test_a_zarr_without_labels(self, tmp_path, version):
        group = _group(tmp_path / "a.zarr", version)
        _refused(tmp_path / "a.zarr", "without OME-Zarr labels", "labels/NAME")
        _multiscale(group, _image(), "yxc", version)
        _refused(tmp_path / "a.zarr", "without OME-Zarr labels")
        _refused(tmp_path / "a.zarr" / "0", "without OME-Zarr labels")
        _refused(tmp_path, "did you mean a.zarr?")
        _attributes(group.create_group("labels"), {"labels": []}, version)
        _refused(tmp_path / "a.zarr", "without OME-Zarr labels")

    @pytest.mark.parametrize("axes", ["qyx", "cyy", "czx", "yx"])
    def test_axes_that_are_none(self, tmp_path, version, axes):
        path = _ome_zarr(tmp_path / "a.zarr", _image(shape=(1, *SHAPE)), axes, {"n": _labels()}, "yx", version)
        _refused(path, f"axes {axes!r} of an array of shape (1, 6, 8)", "'tczyx'")

    @pytest.mark.parametrize(
        "broken",
        [
            {"multiscales": []},
            {"multiscales": 3},
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "9"}]}]},
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "labels"}]}]},
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "../../secret"}]}]},
            {"multiscales": [{"axes": ["y", "x"]}]},
            {"multiscales": [{"axes": [{"type": "space"}], "datasets": [{"path": "0"}]}]},
        ],
    )
    def test_broken_metadata(self, tmp_path, version, broken):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"n": _labels()}, version=version)
        _attributes_raw(path, broken, version)
        _refused(path, "a.zarr: not a readable OME-Zarr image")

    def test_old_axes(self, tmp_path):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"n": _labels()}, version="0.4")
        _attributes_raw(path, {"multiscales": [{"axes": ["y", "x", "c"], "datasets": [{"path": "0"}]}]}, "0.3")
        assert len(read_dataset(path).pairs) == 1
        five = _ome_zarr(tmp_path / "b.zarr", _image(shape=(1, 1, 1, *SHAPE)), "tczyx", {"n": _labels()}, "yx", "0.4")
        _attributes_raw(five, {"multiscales": [{"datasets": [{"path": "0"}]}]}, "0.2")
        assert len(read_dataset(five).pairs) == 1

    def test_metadata_that_is_no_json(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"n": _labels()}, version=version)
        for name in ("zarr.json", ".zgroup"):
            if (path / name).exists():
                (path / name).write_text("{")
        _refused(path, "a.zarr: not a readable zarr")
        _refused(path / "labels" / "n", "a.zarr: not a readable zarr")  # its image

    def test_chunks_that_are_damaged(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"n": _labels()}, version=version)
        for chunk in (p for p in (path / "0").rglob("*") if p.is_file() and re.fullmatch(r"[\d.]+", p.name)):
            chunk.write_bytes(b"\x00garbage")
        _refused(path, "a.zarr: t 0, z 0 cannot be read")

    def test_images_too_large(self, tmp_path, version):
        group = _group(tmp_path / "a.zarr", version)
        _multiscale(group, _labels(), "yx", version, **{"image-label": {}})
        del group["0"]
        group.create_array("0", shape=(1 << 14, (1 << 14) + 1), chunks=(64, 64), dtype="u4")  # nothing is written
        inside = _ome_zarr(tmp_path / "b.zarr", _image(), "yxc", {"n": _labels()}, version=version)
        (tmp_path / "a.zarr").rename(inside / "labels" / "big")
        _refused(inside / "labels" / "big", "16384 x 16385 pixels are more than 268435456", "tile it")

    def test_chunks_too_large(self, tmp_path, monkeypatch, version):
        path = _ome_zarr(tmp_path / "a.zarr", _image(shape=(5, *SHAPE)), "zyx", {"n": _labels()}, "yx", version)
        monkeypatch.setattr(datasets, "_MAX_PX", 50)
        _refused(path, "a.zarr: 240 values at once", "tile it")

    def test_objects_and_pickles_are_refused(self, tmp_path):
        """Reading them could run code; nothing is read."""
        path = _ome_zarr(tmp_path / "a.zarr", _image(shape=SHAPE), "yx", {"n": _labels()}, version="0.4")
        place = path / "labels" / "n" / "0" / ".zarray"
        plain = json.loads(place.read_text())
        pickle, text = [{"id": "pickle"}], [{"id": "vlen-utf8"}, {"id": "pickle"}]
        for change in (
            {"dtype": "|O", "filters": pickle, "fill_value": None},
            {"dtype": "|O", "filters": text, "fill_value": ""},
            {"dtype": "|O", "filters": None, "fill_value": None},
            {"filters": pickle},
            {"compressor": pickle[0]},
        ):
            place.write_text(json.dumps({**plain, **change}))
            _refused(path, "labels/n: ")

    @pytest.mark.parametrize("dtype", ["c8", "U4", "M8[s]"])
    @pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
    def test_arrays_of_something_else(self, tmp_path, version, dtype):
        path = _ome_zarr(tmp_path / "a.zarr", _image(), "yxc", {"n": _labels()}, version=version)
        group = zarr.open_group(path, mode="r+")
        del group["0"]
        group.create_array("0", shape=(*SHAPE, 3), chunks=(*SHAPE, 3), dtype=dtype)
        _refused(path, "a.zarr: dtype", "convert it to numbers")


def _attributes_raw(path, content, version):
    """Replace OME metadata with `content` as it is."""
    group = zarr.open_group(path, mode="r+")
    group.attrs.update({"ome": {"version": "0.5", **content}} if version == "0.5" else content)


def test_zarr_is_imported_only_for_zarr(tmp_path):
    import subprocess
    import sys

    _save(tmp_path / "a.png", _image())
    _save(tmp_path / "a_mask.png", _labels())
    code = (
        "import sys; from pathlib import Path; from src_models.training.data.datasets import read_dataset\n"
        "read_dataset(Path(sys.argv[1])); print('zarr' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_label_store_is_a_dataset_with_the_image_it_was_made_for(tmp_path):
    from skimage.io import imsave

    from napari_sam.io.images.open_image import open_image
    from napari_sam.io.labels.label_store import LabelStore

    picture = np.random.default_rng(0).integers(0, 255, (80, 90)).astype(np.uint8)
    imsave(tmp_path / "cells.png", picture, check_contrast=False)
    with LabelStore.create(tmp_path / "cells.labels.ome.zarr", like=open_image(tmp_path / "cells.png")) as store:
        store.paint(np.full((20, 20), 5), (10, 30))
    dataset = read_dataset(tmp_path / "cells.labels.ome.zarr")
    (pair,) = dataset.pairs
    np.testing.assert_array_equal(pair.image[..., 0], picture)
    assert (pair.labels > 0).sum() == 400
