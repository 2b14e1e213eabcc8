"""Picture files: decoded, limited in size, and converted to RGB of 8 bits."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from src_models.model_errors import TrainingError
from src_models.training.data import picture_files
from src_models.training.data.picture_files import (
    check_size,
    chosen_channels,
    image_to_rgb,
    read_picture,
    read_rgb,
    to_rgb8,
)


def test_a_palette_gives_colours_or_indices(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png")[0, 0, :3].tolist() == [10, 20, 30]
    assert read_picture(tmp_path / "a.png", indices=True).tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(("size", "values"), [((20, 20), 0), ((5, 5), 500)])
def test_sizes_above_the_limit_are_refused(monkeypatch, tmp_path, size, values):
    monkeypatch.setattr(picture_files, "_MAX_PX", 100)
    with pytest.raises(TrainingError, match="are more than") as caught:
        check_size(tmp_path / "a.tif", *size, values)
    assert caught.value.remedy == "tile it"


@pytest.mark.parametrize(("count", "chosen"), [(1, (0,)), (2, (0,)), (3, (0, 1, 2)), (5, (0, 1, 2))])
def test_the_first_three_channels_or_the_first_are_the_default(count, chosen):
    assert chosen_channels(None, count, "a.tif") == chosen


def test_a_missing_channel_is_named_with_the_setting():
    with pytest.raises(TrainingError, match=r"channels is \(4,\), but a\.tif has 2 channels") as caught:
        chosen_channels((4,), 2, "a.tif")
    assert caught.value.parameter == "channels"


@pytest.mark.parametrize("dtype", [np.complex64, "U3", object])
def test_values_that_are_not_numbers_are_refused(dtype):
    with pytest.raises(TrainingError, match="is not that of an image"):
        image_to_rgb(np.zeros((2, 2), dtype), None, "a.tif")


def test_images_of_eight_bits_keep_their_values(rng):
    image = rng.integers(0, 255, (4, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(to_rgb8(image), image)


def test_png_of_16_bits_is_read_in_full(tmp_path):
    array = np.random.default_rng(0).integers(0, 65_536, (9, 12, 3)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    assert (read_picture(tmp_path / "a.png") == array).all()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_images_whose_smallest_value_is_white_are_read_as_they_look_and_labels_as_they_are(tmp_path, dtype):
    array = np.random.default_rng(0).integers(0, 2, (9, 12)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    positive = ~array if dtype is bool else np.iinfo(dtype).max - array
    assert (read_picture(tmp_path / "a.tif") == positive).all()
    assert (read_picture(tmp_path / "a.tif", indices=True) == array).all()


def test_postscript_is_not_given_to_an_interpreter(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(TrainingError, match="cannot be read as an image"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_pixels_that_alpha_masks_are_black_and_do_not_set_the_contrast(tmp_path, name):
    grey = np.random.default_rng(0).integers(1000, 2000, (30, 40), dtype=np.uint16)
    grey[:10] = 60_000
    alpha = np.full((30, 40), 65_535, np.uint16)
    alpha[:10] = 0
    pixels = np.dstack([grey, grey, grey, alpha])
    if name == "a.png":
        (tmp_path / name).write_bytes(imagecodecs.png_encode(pixels))
    else:
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", extrasamples=["unassalpha"])
    rgb = read_rgb(tmp_path / name, None)
    assert not rgb[:10].any()
    assert rgb[10:].mean() > 100


def test_a_fourth_channel_that_is_no_alpha_masks_nothing(tmp_path):
    pixels = np.full((30, 40, 4), 7, np.uint8)
    pixels[..., 3] = 0
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unspecified"])
    assert (read_rgb(tmp_path / "a.tif", None) == 7).all()
