"""Pixels without measurement, and the normalisation of images by what their file declares."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam import open_image
from napari_sam.engine.normalisation import Normalisation, choose_normalisation
from napari_sam.engine.pixel_validity import invalid_pixels
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window

LOWEST = float(np.finfo(np.float32).min)


@pytest.mark.parametrize(
    ("dtype", "nodata", "values", "expected"),
    [
        ("float32", -3.4e38, [LOWEST, 1.0, np.inf], [True, False, False]),
        ("float32", 0.1, [0.1, 0.2], [True, False]),
        ("float32", float("nan"), [np.nan, 3.0], [True, False]),
        ("float64", None, [LOWEST, -1.7e308, 5.0], [True, True, False]),
        ("uint8", -9999.0, [241, 0], [False, False]),
        ("uint16", 65535.0, [65535, 1], [True, False]),
        ("int16", -9999.5, [-9999, 1], [False, False]),
    ],
)
def test_values_without_measurement_are_found_in_the_type_of_the_pixels(dtype, nodata, values, expected):
    assert invalid_pixels(np.array(values, dtype), nodata).tolist() == expected


@pytest.mark.parametrize("fill", [LOWEST, -9999.0, -32768.0, 1e20, 9.969209968386869e36])
def test_undeclared_fill_values_do_not_set_the_contrast(rng, fill):
    picture = rng.uniform(100, 200, (200, 200)).astype(np.float32)
    picture[:, :50] = fill
    chosen = choose_normalisation(open_image(picture))
    assert 99 < chosen.low[0] < 105
    assert 195 < chosen.high[0] < 201


def test_an_image_whose_smallest_value_is_white_is_reversed():
    image = open_image(np.array([[0, 55, 255]], np.uint8))
    image.inverted = True
    shown = choose_normalisation(image).apply(image.read(0, 0, 0, 1, 3))
    assert shown[0, :, 0].tolist() == [255, 200, 0]


def test_reversed_contrast_limits_of_a_viewer_are_kept():
    image = open_image(np.array([[0, 1000]], np.uint16))
    image.inverted, image.contrast_limits = True, (0.0, 1000.0)
    assert choose_normalisation(image) == Normalisation((1000.0,), (0.0,))


def test_bytes_with_four_bits_are_stretched(rng):
    image = open_image(rng.integers(0, 16, (100, 100)).astype(np.uint8))
    image.bits = 4
    assert choose_normalisation(image) == Normalisation((0.0,), (15.0,))


def test_nodata_is_black_for_the_network():
    image = open_image(np.array([[65535, 100], [200, 65535]], np.uint16))
    image.nodata = 65535.0
    shown = read_window(image, Normalisation((100.0,), (200.0,)), Window((0, 0, 2, 2), 2))
    assert shown[..., 0].tolist() == [[0, 0], [255, 0]]
