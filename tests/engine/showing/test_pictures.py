"""Small pictures: read coarsely, with masks and labels where they belong."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from napari_sam.engine.showing.pictures import edges_of, label_colours, picture_of, png_bytes, with_labels, with_mask
from napari_sam.io.images.open_image import open_image


class LargeArray:
    """An array of 100 000 x 100 000 pixels that counts those that are read."""

    shape, dtype, ndim, chunks = (100_000, 100_000), np.dtype(np.uint8), 2, (512, 512)

    def __init__(self):
        self.read_px = 0

    def __getitem__(self, index):
        block = np.full([len(range(n)[i]) for n, i in zip(self.shape, index, strict=True)], 90, np.uint8)
        self.read_px += block.size
        return block


def test_a_huge_image_without_levels_is_not_read_whole():
    array = LargeArray()
    html = open_image(array)._repr_html_()
    assert "100000 x 100000 px" in html
    assert "data:image/png;base64," in html
    assert 0 < array.read_px <= 1 << 26  # of 10**10


def test_a_part_of_an_image_is_read_from_the_level_that_suffices():
    levels = [np.full((4096, 4096), 240, np.uint8), np.full((2048, 2048), 250, np.uint8)]
    image = open_image(levels)
    assert picture_of(image, (0, 0, 4096, 4096), side=256).mean() == 250
    assert picture_of(image, (0, 0, 256, 128), side=256).mean() == 240
    assert picture_of(image, (0, 0, 256, 128), side=256).shape == (256, 128, 3)


def test_a_dark_image_is_brightened_but_not_without_limit():
    ramp = np.tile(np.arange(100, dtype=np.uint8), (100, 1))
    shown = picture_of(open_image(ramp), side=100)[0, :, 0].astype(int)
    assert shown[-1] == pytest.approx(230, abs=3)
    assert shown[50] == pytest.approx(shown[-1] / 2, abs=4)
    assert picture_of(open_image(ramp // 50), side=100).max() == 4


def test_a_mask_is_tinted_inside_and_outlined():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    shown = with_mask(np.full((9, 9, 3), 100, np.uint8), mask)
    assert (shown[~mask] == 100).all()
    assert shown[2, 2].tolist() == [0, 229, 255]
    assert 0 < shown[4, 4, 0] < 100 < shown[4, 4, 2] < 255


def test_labels_keep_their_colour_and_background_is_black():
    labels = np.array([[0, 7, 300_000_000]])
    colours = with_labels(None, labels)
    assert colours[0, 0].tolist() == [0, 0, 0]
    assert colours[0, 1].tolist() == label_colours(np.array(7)).tolist()
    assert colours[0, 1].tolist() != colours[0, 2].tolist()


def test_neighbouring_labels_have_colours_that_lie_apart():
    colours = label_colours(np.arange(1, 200)).astype(int)
    assert np.abs(np.diff(colours, axis=0)).max(1).min() > 60


def test_edges_lie_between_objects_too_but_not_at_the_border_of_the_array():
    labels = np.array([[1, 1, 2, 2, 2]])
    assert edges_of(labels).tolist() == [[False, True, True, False, False]]


def test_png_bytes_hold_the_pixels():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    with Image.open(io.BytesIO(png_bytes(picture))) as read:
        assert np.array_equal(np.asarray(read), picture)
