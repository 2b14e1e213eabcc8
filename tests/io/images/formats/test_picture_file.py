"""PNG, JPEG 2000 and the like: every bit, one frame of several, and only formats that are read here."""

from __future__ import annotations

import os
import stat

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_sam import open_image
from napari_sam.errors import ImageError

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n%%EOF\n"


def pixels(path):
    image = open_image(path, channels=None)
    whole = image.with_plane(image.plane, range(image.channel_count))
    return whole.read(0, 0, 0, *image.shape)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_keeps_its_16_bits(tmp_path, rng, channels):
    array = rng.integers(0, 65_536, (20, 30, channels)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.squeeze(array)))
    expected = array[..., :1] if channels == 2 else array
    assert (pixels(tmp_path / "a.png") == expected).all()


@pytest.mark.parametrize("suffix", ["jp2", "j2k"])
@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint16), (3, np.uint16), (3, np.uint8), (4, np.uint8)])
def test_jpeg_2000_keeps_its_bits_and_bands(tmp_path, rng, channels, dtype, suffix):
    array = rng.integers(0, np.iinfo(dtype).max, (20, 30, channels)).astype(dtype)
    data = imagecodecs.jpeg2k_encode(np.squeeze(array), level=0, codecformat=suffix, reversible=True)
    (tmp_path / f"a.{suffix}").write_bytes(data)
    assert (pixels(tmp_path / f"a.{suffix}") == array).all()


@pytest.mark.parametrize("samples", [1, 3])
def test_portable_anymaps_of_more_than_a_byte_are_not_rescaled(tmp_path, rng, samples):
    array = rng.integers(0, 4096, (20, 30, samples)).astype(">u2")
    header = f"P{5 if samples == 1 else 6}\n# twelve bits\n30 20\n4095\n".encode()
    (tmp_path / "a.ppm").write_bytes(header + array.tobytes())
    assert (pixels(tmp_path / "a.ppm") == array).all()


def test_a_frame_of_several_is_reported_and_chosen(tmp_path):
    frames = [PillowImage.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "a.gif").choices == ("opened frame 0 of 2: choose with {series}",)
    assert pixels(f"{tmp_path / 'a.gif'}#series=1")[0, 0].tolist() == [0, 0, 255]
    with pytest.raises(ImageError, match="series is 2"):
        open_image(tmp_path / "a.gif", series=2)


def test_postscript_is_never_interpreted_whatever_it_is_called(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("PostScript was interpreted"))
    (tmp_path / "a.png").write_bytes(POSTSCRIPT)
    with pytest.raises(ImageError, match="not a readable image"):
        open_image(tmp_path / "a.png")


def test_the_content_of_a_file_decides_not_its_name(tmp_path, rng):
    array = rng.integers(0, 65_536, (20, 30, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.png", array, photometric="rgb")
    (tmp_path / "b.tif").write_bytes(imagecodecs.png_encode(array))
    for name in ("a.png", "b.tif"):
        assert (pixels(tmp_path / name) == array).all()


def test_a_zip_archive_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "a.zarr.zip").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(ImageError, match="unpack it"):
        open_image(tmp_path / "a.zarr.zip")


def test_pipes_and_devices_are_refused_without_opening_them(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    assert stat.S_ISFIFO((tmp_path / "a.tif").stat().st_mode)
    for path in (tmp_path / "a.tif", "/dev/zero"):
        with pytest.raises(ImageError, match="a pipe, socket or device"):
            open_image(path)


@pytest.mark.parametrize("path", ["x" * 5000 + ".tif", "~no_such_user_here/a.tif", "a\0b.tif", "http://[::1/a.zarr"])
def test_paths_that_cannot_exist_are_one_message(path):
    with pytest.raises(ImageError) as refused:
        open_image(path)
    assert len(str(refused.value)) < 500
