"""Alpha channels, masks inside a TIFF and GDAL's mask files: masked pixels are "no data", all others count."""

from __future__ import annotations

import re
import warnings
from functools import partial

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_sam import open_image
from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.engine.window_pixels import network_rgb
from napari_sam.io.images.overview import build_overview
from napari_sam.io.pixel_fingerprint import pixel_fingerprint
from src_models.training.data.picture_alpha import masked_pixels

H, W = 300, 280
MASKED = np.s_[:150, :70]


@pytest.fixture
def rgb(rng):
    pixels = rng.integers(0, 255, (H, W, 3), dtype=np.uint8)
    pixels[200:220] = 0  # black, but measured
    return pixels


@pytest.fixture
def alpha():
    alpha = np.full((H, W), 255, np.uint8)
    alpha[MASKED] = 0
    alpha[0, 200] = 1  # nearly transparent
    return alpha


def read(image, level=0):
    return image.read(level, 0, 0, *image.levels[level])


def seen(image):
    return network_rgb(read(image), choose_normalisation(image), image.nodata)


def check(image, rgb, alpha):
    assert image.nodata == 0
    pixels = read(image)[..., :3]
    np.testing.assert_array_equal((pixels == 0).all(axis=-1), alpha == 0)
    assert np.abs(pixels.astype(int) - rgb)[alpha > 0].max() <= 1
    assert not seen(image)[MASKED].any()
    np.testing.assert_array_equal(image.read(0, 140, 60, 160, 80), read(image)[140:160, 60:80])
    np.testing.assert_array_equal(image.read(0, 1, 2, 299, 277, 7), read(image)[1:299:7, 2:277:7])


def write_geotiff(path, rgb, mask, internal, **options):
    rasterio = pytest.importorskip("rasterio")
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
        warnings.simplefilter("ignore")
        size = {"height": H, "width": W, "count": 3, "dtype": "uint8"}
        with rasterio.open(path, "w", driver="GTiff", photometric="RGB", **size, **options) as file:
            file.write(np.moveaxis(rgb, -1, 0))
            file.write_mask(mask)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_alpha_channel_of_a_tiff_masks(tmp_path, rgb, alpha, planar, compression):
    pixels = np.dstack([rgb, alpha])
    pixels = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    options = {"planarconfig": planar, "compression": compression, "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **options)
    check(open_image(tmp_path / "a.tif"), rgb, alpha)


def test_four_channels_without_a_declared_alpha_stay_four(tmp_path, rgb, alpha):
    pixels = np.dstack([rgb, alpha])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unspecified"])
    image = open_image(tmp_path / "a.tif")
    assert (image.channel_count, image.nodata) == (4, None)
    np.testing.assert_array_equal(read(image), rgb)
    np.testing.assert_array_equal(read(open_image(tmp_path / "a.tif", channels=[3]))[..., 0], alpha)


def test_the_mask_inside_a_tiff_and_the_file_of_gdal_beside_it_mask(tmp_path, rgb, alpha):
    for name, internal in (("inside", True), ("beside", False)):
        write_geotiff(tmp_path / f"{name}.tif", rgb, alpha > 0, internal)
        check(open_image(tmp_path / f"{name}.tif"), rgb, alpha)
    assert (tmp_path / "beside.tif.msk").exists()


def test_all_levels_of_a_cloud_optimised_geotiff_are_masked(tmp_path, rgb, alpha):
    rasterio_shutil = pytest.importorskip("rasterio.shutil")
    write_geotiff(tmp_path / "a.tif", rgb, alpha > 0, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rasterio_shutil.copy(tmp_path / "a.tif", tmp_path / "cog.tif", driver="COG", compress="JPEG", blocksize=128)
    image = open_image(tmp_path / "cog.tif")
    assert len(image.levels) > 1
    for level, (height, width) in enumerate(image.levels):
        masked = (read(image, level) == 0).all(axis=-1)
        assert masked.mean() == pytest.approx(0.125, abs=0.01)
        assert masked[0, 0]
        assert not masked[height // 2 + 2 :, width // 4 + 2 :].any()


def test_transparent_pixels_of_pictures_are_no_data(tmp_path, rgb, alpha):
    PillowImage.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(np.dstack([rgb, alpha]).astype(np.uint16)))
    PillowImage.fromarray(rgb).save(tmp_path / "c.png")
    tifffile.imwrite(tmp_path / "c.png.msk", alpha)
    for name in "abc":
        check(open_image(tmp_path / f"{name}.png"), rgb, alpha)


def test_grey_and_alpha_and_a_transparent_colour_mask(tmp_path, rgb, alpha):
    PillowImage.fromarray(np.dstack([rgb[..., 0], alpha]), "LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(open_image(tmp_path / "a.png"))[..., 0] == 0, alpha == 0)
    PillowImage.fromarray(rgb[..., 0]).save(tmp_path / "b.png", transparency=7)
    np.testing.assert_array_equal(read(open_image(tmp_path / "b.png"))[..., 0] == 0, rgb[..., 0] == 7)


def test_an_opaque_picture_keeps_its_pixels(tmp_path, rgb):
    PillowImage.fromarray(np.dstack([rgb, np.full((H, W), 255, np.uint8)])).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    assert image.nodata is None
    np.testing.assert_array_equal(read(image), rgb)


def test_masked_pixels_do_not_set_the_contrast(tmp_path, rng, alpha):
    grey = rng.integers(1000, 2000, (H, W), dtype=np.uint16)
    grey[alpha == 0] = 60_000
    opaque = np.where(alpha > 0, 65_535, 0).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([grey, opaque]), photometric="minisblack", extrasamples=["unassalpha"]
    )
    assert choose_normalisation(open_image(tmp_path / "a.tif")).high[0] < 2000


@pytest.mark.parametrize(("dtype", "fill"), [(np.float32, np.nan), (np.int16, -32768)])
def test_masked_pixels_have_a_value_of_their_type(tmp_path, alpha, dtype, fill):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((H, W), dtype))
    tifffile.imwrite(tmp_path / "a.tif.msk", alpha)
    pixels = read(open_image(tmp_path / "a.tif"))[..., 0]
    np.testing.assert_array_equal(pixels[alpha == 0], fill)
    assert (pixels[alpha > 0] == 1).all()


def test_masked_pixels_have_the_value_that_the_file_declares(tmp_path, alpha):
    grey = np.ones((H, W), np.uint8)
    grey[5, 200] = 9
    tifffile.imwrite(tmp_path / "a.tif", grey, extratags=[(42113, "s", 0, "9", True)])
    tifffile.imwrite(tmp_path / "a.tif.msk", alpha)
    image = open_image(tmp_path / "a.tif")
    assert image.nodata == 9
    np.testing.assert_array_equal(read(image)[..., 0] == 9, (alpha == 0) | (grey == 9))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_mask_of_another_size_or_damaged_is_named_and_not_used(tmp_path, rgb, name):
    (PillowImage.fromarray(rgb).save if name == "a.png" else partial(tifffile.imwrite, data=rgb))(tmp_path / name)
    identity = open_image(tmp_path / name).identity
    tifffile.imwrite(tmp_path / f"{name}.msk", np.ones((5, 5), np.uint8))
    for said in (r"a\.\w+\.msk is not used: its shape \(5, 5\)", r"a\.\w+\.msk is not used: it cannot be read"):
        image = open_image(tmp_path / name)
        assert any(re.search(said, note) for note in image.choices)
        np.testing.assert_array_equal(read(image), rgb)
        assert image.identity == identity
        (tmp_path / f"{name}.msk").write_bytes(b"no TIFF")


def test_a_mask_makes_no_other_image_but_other_embeddings(tmp_path, rgb, alpha):
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    before = open_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif.msk", alpha)
    after = open_image(tmp_path / "a.tif")
    assert pixel_fingerprint(before.arrays) == pixel_fingerprint(after.arrays)
    assert before.identity != after.identity


def test_masked_pixels_do_not_darken_an_overview(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    grey, alpha = np.full((4096, 300), 200, np.uint8), np.full((4096, 300), 255, np.uint8)
    alpha[::2] = 0
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([grey, alpha]), photometric="minisblack", extrasamples=["unassalpha"]
    )
    image = open_image(tmp_path / "a.tif")
    assert (read(image, 1) == 200).all()
    assert (read(build_overview(image), 1) == 200).all()


FOURTH = {
    "measured": lambda rng: rng.poisson(1, (H, W)).astype(np.uint16),
    "sparse": lambda rng: np.where(rng.random((H, W)) < 0.1, rng.integers(200, 6000, (H, W)), 0).astype(np.uint16),
    "empty": lambda rng: np.zeros((H, W), np.uint16),
    "opaque": lambda rng: np.full((H, W), 65535, np.uint16),
}


@pytest.mark.parametrize("kind", FOURTH)
def test_a_fourth_channel_that_tifffile_declares_as_alpha_by_default_masks_nothing(tmp_path, rgb, rng, kind):
    pixels = np.dstack([rgb.astype(np.uint16), FOURTH[kind](rng)])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    for name in ("a.tif", "a.png"):
        image = open_image(tmp_path / name)
        assert image.nodata is None
        np.testing.assert_array_equal(read(image)[..., :3], rgb)
        assert masked_pixels(tmp_path / name, pixels) is None


def test_the_overviews_of_a_mask_file_mask_coarse_levels(tmp_path, rgb, alpha, monkeypatch):
    pixels = np.kron(rgb, np.ones((4, 4, 1), np.uint8))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels, photometric="rgb", tile=(64, 64), subifds=1)
        file.write(pixels[::4, ::4], photometric="rgb", tile=(64, 64), subfiletype=1)
    tifffile.imwrite(tmp_path / "a.tif.msk", np.kron(alpha, np.ones((4, 4), np.uint8)), tile=(64, 64))
    monkeypatch.setattr("napari_sam.io.images.formats.masked_level._BAND_PX", 5000)  # so that bands are read
    image = open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal((read(image, 1) == 0).all(axis=-1), alpha == 0)
