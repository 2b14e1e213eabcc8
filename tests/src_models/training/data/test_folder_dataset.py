"""Folders of image files and label files: what is read, skipped and refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from src_models.training.data import picture_files
from src_models.training.data.datasets import read_dataset
from src_models.training.data.picture_files import to_rgb8
from tests.src_models.training.data.dataset_files import SHAPE, assert_refused, label_image, random_image, save_picture

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
        save_picture(tmp_path / image, random_image())
        save_picture(tmp_path / labels, label_image(1, 2, 7, dtype=np.uint16))
        found = read_dataset(tmp_path)
        assert found.name == tmp_path.name
        assert found.skipped == ()
        assert [p.name for p in found.images] == ["a"]
        pair = found.images[0]
        assert (pair.image.dtype, pair.labels.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(pair.labels, label_image(1, 2, 7))  # gaps stay
        assert len(pair.boxes) == 3
        if not image.endswith("jpg"):
            np.testing.assert_array_equal(pair.image, random_image())

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, ">u2"])
    def test_integer_labels(self, tmp_path, dtype):
        save_picture(tmp_path / "a.tif", random_image())
        save_picture(tmp_path / "a_masks.tif", label_image(3, 100, dtype=dtype))
        assert np.unique(read_dataset(tmp_path).images[0].labels).tolist() == [0, 3, 100]

    def test_far_labels_are_renumbered_in_order(self, tmp_path):
        save_picture(tmp_path / "a.tif", random_image())
        save_picture(tmp_path / "a_masks.tif", label_image(2**40, 5, 2**31, dtype=np.uint64))
        np.testing.assert_array_equal(read_dataset(tmp_path).images[0].labels, label_image(3, 1, 2))

    def test_near_labels_stay(self, tmp_path):
        save_picture(tmp_path / "a.tif", random_image())
        save_picture(tmp_path / "a_masks.tif", label_image(1001, 5, dtype=np.uint16))
        assert read_dataset(tmp_path).images[0].labels.max() == 1001

    def test_a_label_of_every_pixel_without_background(self, tmp_path):
        save_picture(tmp_path / "a.tif", random_image())
        labels = np.arange(1, 49).reshape(SHAPE) * 10**8
        save_picture(tmp_path / "a_masks.tif", labels)
        np.testing.assert_array_equal(read_dataset(tmp_path).images[0].labels, labels // 10**8)

    def test_a_palette_gives_indices_to_labels_and_colours_to_images(self, tmp_path):
        palette = Image.fromarray(label_image())
        palette.putpalette([0, 0, 0, 250, 10, 20, 30, 240, 40])
        palette.save(tmp_path / "a.png")
        palette.save(tmp_path / "a_mask.png")
        pair = read_dataset(tmp_path).images[0]
        np.testing.assert_array_equal(pair.labels, label_image())
        assert pair.image[1, 1].tolist() == [30, 240, 40]

    def test_other_files_of_cellpose_are_not_images(self, tmp_path):
        save_picture(tmp_path / "a.tif", random_image())
        save_picture(tmp_path / "a_masks.tif", label_image())
        save_picture(tmp_path / "a_flows.tif", random_image())
        (tmp_path / "a_seg.npy").write_bytes(b"pickle")
        (tmp_path / "._a.tif").write_bytes(b"macOS")
        assert read_dataset(tmp_path).skipped == ()

    def test_skipped_samples_have_a_reason(self, tmp_path):
        for name in "abc":
            save_picture(tmp_path / f"{name}.tif", random_image())
        save_picture(tmp_path / "a_masks.tif", label_image())
        save_picture(tmp_path / "b_masks.tif", np.zeros(SHAPE, np.uint8))
        save_picture(tmp_path / "d_masks.tif", label_image())
        found = read_dataset(tmp_path)
        assert [p.name for p in found.images] == ["a"]
        assert found.skipped == ("b: no objects", "c: no label file", "d: no image")

    def test_include(self, tmp_path):
        for name in ("x1", "x2", "y1"):
            save_picture(tmp_path / f"{name}.tif", random_image())
            save_picture(tmp_path / f"{name}_masks.tif", label_image())
        assert [p.name for p in read_dataset(tmp_path, ("x*", "y9")).images] == ["x1", "x2"]
        assert_refused(tmp_path, "no sample matches include ('z*',)", include=("z*",))

    def test_channels(self, tmp_path):
        many = random_image(shape=(*SHAPE, 5))
        tifffile.imwrite(tmp_path / "a.tif", many, photometric="minisblack", planarconfig="contig")
        tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(many, -1, 0), photometric="minisblack")
        save_picture(tmp_path / "a_masks.tif", label_image())
        save_picture(tmp_path / "b_masks.tif", label_image())
        for pair in read_dataset(tmp_path).images:
            np.testing.assert_array_equal(pair.image, many[..., :3])
        for pair in read_dataset(tmp_path, channels=(4, 0, 2)).images:
            np.testing.assert_array_equal(pair.image, many[..., [4, 0, 2]])
        for pair in read_dataset(tmp_path, channels=(3,)).images:
            np.testing.assert_array_equal(pair.image, many[..., [3, 3, 3]])
        assert_refused(tmp_path, "a.tif", "channels is (0, 1, 5)", "0 to 4", channels=(0, 1, 5))
        assert_refused(tmp_path, "channels is (0, 1)", "give three", channels=(0, 1))
        assert_refused(tmp_path, "channels is ()", "give three", channels=())

    def test_values_that_are_no_numbers_are_dark(self, tmp_path):
        image = random_image(shape=SHAPE).astype(np.float32) + 10
        filled = image.copy()
        image[0, :3] = np.nan, np.inf, -np.inf
        filled[0, :3] = image[np.isfinite(image)].min()
        save_picture(tmp_path / "a.tif", image)
        save_picture(tmp_path / "a_masks.tif", label_image())
        save_picture(tmp_path / "b.tif", np.full(SHAPE, np.nan, np.float32))
        save_picture(tmp_path / "b_masks.tif", label_image())
        a, b = read_dataset(tmp_path).images
        np.testing.assert_array_equal(a.image, to_rgb8(filled))
        assert not b.image.any()

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (label_image(shape=(8, 6)), ["shape (8, 6) is not the shape (6, 8) of the image", "make them equal"]),
            (label_image(dtype=np.float32), ["float32", "save them as integers"]),
            (label_image(-3, dtype=np.int16), ["label -3 is negative"]),
            (np.stack([label_image()] * 2), ["(2, 6, 8)", "one integer for each pixel"]),
            (random_image(), ["(6, 8, 3)", "one integer for each pixel"]),
        ],
    )
    def test_labels_that_are_refused(self, tmp_path, labels, words):
        save_picture(tmp_path / "a.image.tif", random_image())
        save_picture(tmp_path / "a.labels.tif", labels)
        assert_refused(tmp_path, "a.labels.tif", *words)

    def test_black_and_white_masks(self, tmp_path):
        save_picture(tmp_path / "a.png", random_image())
        one, two = label_image(255, 255), label_image(255, 0, 255)
        for parts in (one, one > 0):
            save_picture(tmp_path / "a_mask.png", parts)
            assert np.unique(read_dataset(tmp_path).images[0].labels).tolist() == [0, 255]
        for parts in (two, two > 0):
            save_picture(tmp_path / "a_mask.png", parts)
            assert_refused(tmp_path, "a_mask.png", "2 parts", "skimage.measure.label")
        save_picture(tmp_path / "a_mask.png", np.minimum(two, 1))
        assert len(read_dataset(tmp_path).images[0].boxes) == 1  # one object, by its own number

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a_masks.png", "a_masks.tif"])
    @pytest.mark.parametrize("content", [b"", b"not a picture", b"II*\0\x08\0\0\0\xff\xff"])
    def test_unreadable_files(self, tmp_path, name, content):
        other = "a_masks.png" if "masks" not in name else "a.png"
        save_picture(tmp_path / other, label_image())
        (tmp_path / name).write_bytes(content)
        assert_refused(tmp_path, f"{name} cannot be read as an image")

    def test_a_file_that_is_cut_off(self, tmp_path):
        save_picture(tmp_path / "a_masks.png", label_image())
        save_picture(tmp_path / "a.png", random_image(shape=(200, 200, 3)))
        (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
        assert_refused(tmp_path, "a.png cannot be read")

    def test_jpeg_labels(self, tmp_path):
        save_picture(tmp_path / "a.png", random_image())
        save_picture(tmp_path / "a_mask.jpg", label_image())
        assert_refused(tmp_path, "a_mask.jpg", "TIFF or PNG")

    def test_pictures_of_something_else(self, tmp_path):
        save_picture(tmp_path / "a_masks.tif", label_image())
        save_picture(tmp_path / "a.tif", random_image(shape=SHAPE).astype(np.complex64))
        assert_refused(tmp_path, "a.tif", "complex64", "convert")
        tifffile.imwrite(tmp_path / "a.tif", random_image(shape=(2, 2, *SHAPE)), photometric="minisblack")
        assert_refused(tmp_path, "a.tif", "(2, 2, 6, 8)", "single planes")

    def test_two_files_for_one_sample(self, tmp_path):
        save_picture(tmp_path / "a.png", random_image())
        save_picture(tmp_path / "a_masks.png", label_image())
        save_picture(tmp_path / "a_mask.tif", label_image())
        assert_refused(tmp_path, "a has two label files, a_mask.tif and a_masks.png", "keep one")
        (tmp_path / "a_mask.tif").unlink()
        save_picture(tmp_path / "a_img.tif", random_image())
        assert_refused(tmp_path, "a has two images, a.png and a_img.tif")

    def test_both_labels_and_masks(self, tmp_path):
        for folder in ("images", "labels", "masks"):
            save_picture(tmp_path / folder / "a.tif", label_image())
        assert_refused(tmp_path, "both labels and masks")

    def test_nothing_usable(self, tmp_path):
        for i in range(5):
            save_picture(tmp_path / f"a{i}.tif", random_image())
            save_picture(tmp_path / f"a{i}_masks.tif", np.zeros(SHAPE, np.uint8))
        assert_refused(tmp_path, "nothing to train on (a0: no objects; a1: no objects; a2: no objects and 2 more)")

    def test_no_pairs(self, tmp_path):
        assert_refused(tmp_path, "no training pairs", "NAME_masks.*")
        save_picture(tmp_path / "a.tif", random_image())
        assert_refused(tmp_path, "no training pairs")
        (tmp_path / "instances.json").write_text("{}")
        assert_refused(tmp_path, "is instances.json the data set?")

    def test_no_such_place(self, tmp_path):
        assert_refused(tmp_path / "none", "none: no such file or folder")
        (tmp_path / "a.csv").write_text("x")
        assert_refused(tmp_path / "a.csv", "a.csv is not a training data set", "OME-Zarr")

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a_masks.png", "a_masks.tif"])
    def test_images_too_large(self, tmp_path, monkeypatch, name):
        small, large = (2, 3), (7, 8)
        other = "a.png" if "masks" in name else "a_masks.png"
        save_picture(tmp_path / other, label_image(shape=small))
        save_picture(tmp_path / name, label_image(shape=large))
        monkeypatch.setattr(picture_files, "_MAX_PX", 50)
        assert_refused(tmp_path, f"{name}: 7 x 8 pixels are more than 50", "tile it")

    def test_too_many_channels(self, tmp_path, monkeypatch):
        save_picture(tmp_path / "a_masks.tif", label_image())
        tifffile.imwrite(tmp_path / "a.tif", random_image(shape=(5, *SHAPE)), photometric="minisblack")
        monkeypatch.setattr(picture_files, "_MAX_PX", 50)
        assert_refused(tmp_path, "a.tif: 240 values", "200", "tile it")

    def test_pillows_own_limit(self, tmp_path, monkeypatch):
        save_picture(tmp_path / "a.png", random_image())
        save_picture(tmp_path / "a_masks.png", label_image())
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
        assert len(read_dataset(tmp_path).images) == 1  # Pillow would warn
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
        assert_refused(tmp_path, "too large", "tile it")

    def test_real_pairs(self, shared):
        found = read_dataset(shared / "data" / "usiigaci_t98g" / "dev")
        assert len(found.images) == 6
        assert all(p.image.shape[:2] == p.labels.shape for p in found.images)
