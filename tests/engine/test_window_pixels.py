"""Pixels of a window: the right level, normalised, scaled."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.window_pixels import read_window, scale_rgb
from napari_sam.engine.windows import Window
from napari_sam.io.images.open_image import open_image


def test_a_window_at_full_resolution_is_not_resampled(rng):
    pixels = rng.integers(0, 255, (80, 90), np.uint8)
    read = read_window(open_image(pixels), Normalisation(), Window((10, 20, 74, 84), 64))
    np.testing.assert_array_equal(read, np.repeat(pixels[10:74, 20:84, None], 3, -1))


@pytest.mark.parametrize(("shape", "expected"), [(None, (32, 64, 3)), ((5, 7), (5, 7, 3))])
def test_pixels_have_the_shape_that_the_network_sees(shape, expected):
    image = open_image(np.zeros((100, 200), np.uint8))
    assert read_window(image, Normalisation(), Window((0, 0, 100, 200), 64), shape).shape == expected


def test_values_are_stretched_by_the_normalisation():
    image = open_image(np.full((8, 8), 1000, np.uint16))
    assert (read_window(image, Normalisation((0.0,), (2000.0,)), Window((0, 0, 8, 8), 8)) == 128).all()


def test_pixels_of_the_wanted_shape_are_returned_unchanged():
    rgb = np.zeros((4, 5, 3), np.uint8)
    assert scale_rgb(rgb, (4, 5)) is rgb
