"""Photometric interpretations and bit depths of TIFF."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_sam import open_image
from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.errors import ImageError


@pytest.fixture
def picture(rng):
    """Red, green and blue, 60 x 90, with a bright square."""
    rgb = rng.integers(0, 90, (60, 90, 3)).astype(np.uint8)
    rgb[20:40, 30:60] = (200, 120, 60)
    return rgb


def shown(path):
    image = open_image(path)
    return choose_normalisation(image).apply(image.read(0, 0, 0, *image.shape))


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_other_colour_spaces_become_red_green_and_blue(tmp_path, picture, mode):
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(PillowImage.fromarray(picture), srgb, lab, outputMode="LAB")
    else:
        converted = PillowImage.fromarray(picture).convert(mode)
    converted.save(tmp_path / "a.tif")
    difference = np.abs(shown(tmp_path / "a.tif").astype(int) - picture)
    assert np.median(difference) <= 2
    assert difference[20:40, 30:60].max() <= 8


def test_uncompressed_ycbcr_becomes_red_green_and_blue(tmp_path, picture):
    ycbcr = np.asarray(PillowImage.fromarray(picture).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "a.tif", ycbcr, photometric="ycbcr", subsampling=(1, 1), metadata=None)
    assert np.abs(shown(tmp_path / "a.tif").astype(int) - picture).max() <= 3


def test_planar_cmyk_is_converted_and_one_channel_of_it_can_be_read(tmp_path, picture):
    cmyk = np.asarray(PillowImage.fromarray(picture).convert("CMYK"))
    planar = np.ascontiguousarray(np.moveaxis(cmyk, -1, 0))
    tifffile.imwrite(tmp_path / "a.tif", planar, photometric="separated", planarconfig="separate", tile=(32, 32))
    expected = np.asarray(PillowImage.fromarray(cmyk, "CMYK").convert("RGB"))
    assert np.abs(open_image(tmp_path / "a.tif").read(0, 0, 0, 60, 90).astype(int) - expected).max() <= 1
    green = open_image(tmp_path / "a.tif", channels=(1,)).read(0, 0, 0, 60, 90)
    assert np.abs(green[..., 0].astype(int) - expected[..., 1]).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_min_is_white_keeps_its_values_and_is_shown_positive(tmp_path, picture, dtype):
    values = picture[..., 0] > 100 if dtype is bool else picture[..., 0].astype(dtype)
    negative = ~values if dtype is bool else dtype(255) - values
    tifffile.imwrite(tmp_path / "a.tif", negative, photometric="miniswhite")
    assert (open_image(tmp_path / "a.tif").read(0, 0, 0, 60, 90)[..., 0] == negative).all()
    image = shown(tmp_path / "a.tif")[..., 0].astype(int)
    assert image[20:40, 30:60].min() > 190
    assert image[:20].max() < 130


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_uses_the_whole_range(tmp_path, picture, bits):
    values = picture[..., 0] >> (8 - bits)
    tifffile.imwrite(tmp_path / "a.tif", values, bitspersample=bits, photometric="minisblack")
    assert (open_image(tmp_path / "a.tif").read(0, 0, 0, 60, 90)[..., 0] == values).all()
    image = shown(tmp_path / "a.tif")
    assert (image[20:40, 30:60] == 255).all()


def test_a_colour_filter_array_is_refused_by_name(tmp_path, picture):
    tifffile.imwrite(tmp_path / "a.tif", picture[..., 0], photometric="cfa", metadata=None)
    with pytest.raises(ImageError, match="colour filter array"):
        open_image(tmp_path / "a.tif")


def test_segments_that_are_not_stored_hold_nodata(tmp_path):
    picture = np.zeros((64, 64), np.float32)
    tag = [(42113, "s", 0, "-9999", True)]
    tifffile.imwrite(tmp_path / "a.tif", picture, tile=(32, 32), compression="zlib", extratags=tag, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages[0].tags[325].overwrite([0, *tiff.pages[0].tags[325].value[1:]])
    pixels = open_image(tmp_path / "a.tif").read(0, 0, 0, 64, 64)[..., 0]
    assert (pixels[:32, :32] == -9999).all()
    assert (pixels[32:] == 0).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-9999,0", -9999),
        ("-9999 -9999", -9999),
        (" 1e20\t", 1e20),
        ("-inf", -np.inf),
        ("-1.#IND", np.nan),
        ("none", None),
    ],
)
def test_the_number_that_the_nodata_tag_begins_with_counts(tmp_path, text, expected):
    tag = [(42113, "s", 0, text, True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.float32), extratags=tag, metadata=None)
    nodata = open_image(tmp_path / "a.tif").nodata
    assert nodata == expected or (nodata is not None and np.isnan(nodata) and np.isnan(expected))
