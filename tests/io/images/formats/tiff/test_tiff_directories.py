"""Chains of TIFF directories that would take minutes to read, or never end."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile

from napari_sam import open_image
from napari_sam.errors import ImageError
from napari_sam.io.images.formats.tiff import tiff_directories


def chain(path, widths, last=0):
    """Write one page for each width, and the link that follows the last one."""
    out = bytearray(b"II*\0" + struct.pack("<I", 8))
    for i, width in enumerate(widths):
        values = {256: width, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 16 * width}
        following = len(out) + 2 + 12 * len(values) + 4 if i < len(widths) - 1 else last
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
        out += struct.pack("<H", len(values)) + entries + struct.pack("<I", following)
    path.write_bytes(bytes(out) + bytes(16 * max(widths)))
    return path


def test_very_many_pages_of_different_sizes_are_refused_at_once(tmp_path):
    with pytest.raises(ImageError, match="more than 500 pages of different sizes"):
        open_image(chain(tmp_path / "a.tif", range(1, 5000)))


def test_a_chain_that_leads_back_is_refused(tmp_path):
    with pytest.raises(ImageError, match="leads back to byte 8"):
        open_image(chain(tmp_path / "a.tif", [16, 16, 16], last=8))


def test_a_limited_number_of_pages_is_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_directories, "_MOST_PAGES", 99)
    with pytest.raises(ImageError, match="more than 99 pages"):
        open_image(chain(tmp_path / "a.tif", [16] * 100))
    assert open_image(chain(tmp_path / "b.tif", [16] * 99)).plane_axes == {"i": 99}


@pytest.mark.parametrize("keywords", [{"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}])
def test_every_layout_of_directories_is_walked(tmp_path, monkeypatch, keywords):
    monkeypatch.setattr(tiff_directories, "_MOST_PAGES", 2)
    with tifffile.TiffWriter(tmp_path / "a.tif", **keywords) as writer:
        for _ in range(3):
            writer.write(np.zeros((8, 8), np.uint8), metadata=None)
    with pytest.raises(ImageError, match="more than 2 pages"):
        open_image(tmp_path / "a.tif")
