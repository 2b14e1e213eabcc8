"""Images in: every kind of source gives the same pixels, lazily; what is no image is refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as PillowImage

from napari_sam import open_image
from napari_sam.engine.pixel_validity import invalid_pixels
from napari_sam.errors import ImageError


@pytest.fixture
def picture(rng):
    return rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)


def _write_ome_zarr(path, version, levels, axes="cyx"):
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    for i, level in enumerate(levels):
        array = group.create_array(str(i), shape=level.shape, chunks=(1, 32, 32), dtype=level.dtype)
        array[:] = level
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.25]}]
    meta = [
        {
            "version": version,
            "axes": [{"name": a, "type": "space"} for a in axes],
            "datasets": [{"path": str(i), "coordinateTransformations": scale} for i in range(len(levels))],
        }
    ]
    group.attrs.update(
        {"ome": {"version": version, "multiscales": meta}} if version == "0.5" else {"multiscales": meta}
    )


def _sources(folder, picture):
    """The same picture in every form."""
    tifffile.imwrite(folder / "plain.tif", picture, photometric="rgb")
    tifffile.imwrite(folder / "tiled.tif", picture, photometric="rgb", tile=(32, 32), compression="zlib")
    tifffile.imwrite(
        folder / "ome.ome.tif",
        np.moveaxis(picture, -1, 0),
        metadata={"axes": "CYX"},
        photometric="minisblack",
    )
    PillowImage.fromarray(picture).save(folder / "p.png")
    zarr.save_array(str(folder / "plain.zarr"), picture)
    for version in ("0.4", "0.5"):
        _write_ome_zarr(
            folder / f"v{version}.zarr",
            version,
            [np.moveaxis(picture, -1, 0), np.moveaxis(picture[::2, ::2], -1, 0)],
        )
    names = ("plain.tif", "tiled.tif", "ome.ome.tif", "p.png", "plain.zarr", "v0.4.zarr", "v0.5.zarr")
    return [folder / n for n in names] + [picture, [picture, picture[::2, ::2]], zarr.array(picture)]


def test_every_source_gives_the_same_pixels(tmp_path, picture):
    for source in _sources(tmp_path, picture):
        image = open_image(source)
        assert image.shape == (70, 90), source
        assert image.channels == 3
        np.testing.assert_array_equal(image.read(0, 10, 20, 30, 60), picture[10:30, 20:60])
        np.testing.assert_array_equal(image.read(0, 0, 0, 70, 90, 3), picture[::3, ::3])


def test_pyramids_keep_their_levels_and_pixel_size(tmp_path, picture):
    _sources(tmp_path, picture)
    image = open_image(str(tmp_path / "v0.5.zarr"))
    assert image.levels == [(70, 90), (35, 45)]
    assert image.scale == (0.5, 0.25)
    np.testing.assert_array_equal(image.read(1, 0, 0, 5, 5), picture[::2, ::2][:5, :5])


def test_a_pyramidal_tiff_has_its_levels(tmp_path, rng):
    levels = [rng.integers(0, 60_000, (s, s), dtype=np.uint16) for s in (256, 128)]
    with tifffile.TiffWriter(tmp_path / "p.tif") as writer:
        writer.write(levels[0], tile=(64, 64), subifds=1)
        writer.write(levels[1], tile=(64, 64), subfiletype=1)
    image = open_image(tmp_path / "p.tif")
    assert image.levels == [(256, 256), (128, 128)]
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image.read(1, 3, 5, 20, 30)[..., 0], levels[1][3:20, 5:30])


def test_a_stack_opens_at_its_first_plane(tmp_path, rng):
    stack = rng.integers(0, 9, (4, 3, 20, 30), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "s.ome.tif", stack, metadata={"axes": "ZCYX"}, photometric="minisblack")
    image = open_image(tmp_path / "s.ome.tif")
    np.testing.assert_array_equal(image.read(0, 0, 0, 20, 30), np.moveaxis(stack[0], 0, -1))


def test_channels_can_be_chosen_and_alpha_is_dropped(rng):
    five = rng.integers(0, 9, (20, 30, 5), dtype=np.uint16)
    image = open_image(five, channels=(4, 0, 2))
    np.testing.assert_array_equal(image.read(0, 0, 0, 20, 30), five[..., [4, 0, 2]])
    assert open_image(five, channels=[3]).channels == 1
    assert open_image(np.zeros((9, 9, 4), np.uint8)).channels == 3
    with pytest.raises(ImageError, match="channels 0 to 4"):
        open_image(five, channels=(0, 1, 7))
    with pytest.raises(ImageError, match=r"three .* or one"):
        open_image(five, channels=(0, 1))


def test_nothing_is_read_on_opening():
    class Untouchable:
        shape, dtype, ndim = (200_000, 200_000), np.dtype(np.uint16), 2

        def __getitem__(self, index):
            raise AssertionError("read on opening")

    assert open_image(Untouchable()).shape == (200_000, 200_000)


def test_a_geotiff_has_crs_and_transform(tmp_path, picture):
    tags = [
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0, 0, 0, 500_000.0, 6_000_000.0, 0), True),
        (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32632), True),
    ]
    tifffile.imwrite(tmp_path / "g.tif", picture, photometric="rgb", extratags=tags)
    image = open_image(tmp_path / "g.tif")
    assert image.crs == "EPSG:32632"
    assert image.transform == (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_000_000.0)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((5, 5), complex), "complex128 .*absolute"),
        (np.zeros((5, 5), object), "object"),
        (np.array([["a", "b"]]), "<U1"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((2, 3, 4, 5)), "index the other axes"),
        (np.zeros((3, 50, 60)), "channels first"),
        (np.zeros((0, 5)), "no pixels"),
        ([], "empty list"),
        (42, "int"),
    ],
)
def test_objects_that_are_not_images_are_refused(array, words):
    with pytest.raises(ImageError, match=words):
        open_image(array)


@pytest.mark.parametrize(
    "name", ["missing.tif", "text.tif", "text.png", "short.tif", "short.png", "empty", "group.zarr"]
)
def test_files_that_are_not_images_are_refused(tmp_path, picture, name):
    if name.startswith("text"):
        (tmp_path / name).write_text("this is not an image")
    elif name == "short.tif":
        tifffile.imwrite(tmp_path / "whole.tif", picture, compression="zlib")
        (tmp_path / name).write_bytes((tmp_path / "whole.tif").read_bytes()[:100])
    elif name == "short.png":
        PillowImage.fromarray(picture).save(tmp_path / "whole.png")
        (tmp_path / name).write_bytes((tmp_path / "whole.png").read_bytes()[:400])
    elif name == "empty":
        (tmp_path / name).mkdir()
    elif name == "group.zarr":
        zarr.create_group(tmp_path / name).create_array("a", shape=(3, 3), dtype="u1")
    with pytest.raises(ImageError, match=name):
        open_image(tmp_path / name)


def test_broken_ome_zarr_metadata_is_named(tmp_path, picture):
    path = tmp_path / "v0.5.zarr"
    _write_ome_zarr(path, "0.5", [np.moveaxis(picture, -1, 0)])
    meta = json.loads((path / "zarr.json").read_text())
    meta["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = "nowhere"
    (path / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(ImageError, match=r"v0\.5\.zarr"):
        open_image(path)


def test_a_truncated_tiff_fails_with_its_name_when_read(tmp_path, rng):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, rng.integers(0, 255, (512, 512), dtype=np.uint8), tile=(64, 64), compression="zlib")
    data = path.read_bytes()
    image = open_image(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut\.tif"):
        image.read(0, 0, 0, 512, 512)


def test_a_region_outside_is_refused():
    with pytest.raises(ImageError, match="outside scale level 0"):
        open_image(np.zeros((5, 5))).read(0, 0, 0, 6, 5)


def test_the_identity_of_a_file_follows_its_content(tmp_path, picture):
    PillowImage.fromarray(picture).save(tmp_path / "p.png")
    first = open_image(tmp_path / "p.png").identity
    assert open_image(tmp_path / "p.png").identity == first
    PillowImage.fromarray(picture[:50]).save(tmp_path / "p.png")
    assert open_image(tmp_path / "p.png").identity != first


@pytest.mark.parametrize(
    ("dtype", "fill"), [(np.float32, None), (np.int16, -9999), (np.uint8, 255), (np.uint8, None), (np.uint16, None)]
)
def test_masked_pixels_are_no_data(dtype, fill):
    values = np.arange(200).reshape(10, 20).astype(dtype)
    image = open_image(np.ma.masked_array(values, values > 150, fill_value=fill))
    pixels = image.read(0, 0, 0, 10, 20)[..., 0]
    assert (invalid_pixels(pixels, image.nodata) == (values > 150)).all()
    assert (pixels[values <= 150] == values[values <= 150]).all()


def test_a_value_that_no_pixel_has_stands_for_masked_ones():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    masked = np.ma.masked_array(values, values == 100)
    image = open_image([masked, masked[::2, ::2].data])
    assert image.nodata == 100
    assert image.read(0, 6, 4, 7, 5)[..., 0].tolist() == [[100]]
    with pytest.raises(ImageError, match="of every value"):
        open_image(np.ma.masked_array(np.r_[values.ravel(), 0].reshape(1, -1), [[False] * 256 + [True]]))


def test_a_masked_array_whose_fill_value_is_a_pixel_is_refused():
    with pytest.raises(ImageError, match="set_fill_value"):
        open_image(np.ma.masked_array(np.full((4, 5), 9, np.uint8), [[1, 0, 0, 0, 0]] * 4, fill_value=9))


@pytest.mark.parametrize("name", ["a b.tif", "a%20b.tif", "ü.tif"])
@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_uri_is_opened_encoded_or_not(tmp_path, name, host):
    tifffile.imwrite(tmp_path / name, np.zeros((4, 5), np.uint8))
    encoded = (tmp_path / name).as_uri().replace("file://", f"file://{host}")
    assert open_image(encoded).shape == open_image(f"file://{host}{tmp_path / name}").shape == (4, 5)
