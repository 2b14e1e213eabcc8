"""Conditions applied to masks: the same objects as their filter expressions describe."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.text.text_filter import PixelSize, kept_by
from napari_sam.text.text_query import parse_text

BOXES = np.array([[0, 5, 10, 15], [20, 20, 40, 30], [50, 60, 100, 90]])
AREAS = np.array([80.0, 150.0, 1200.0])


def kept(text, pixel):
    return kept_by(parse_text(text).filters, BOXES, AREAS, pixel).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("touching the border", [True, False, True]),
        ("not touching the border", [False, True, False]),
        ("area over 100 px", [False, True, True]),
        ("area of at least 150 px", [False, True, True]),
        ("area under 37.5 µm²", [True, False, False]),
        ("smaller than 7 µm", [True, True, False]),
        ("between 6 and 7 µm and not at the edge", [False, True, False]),
        ("objects", [True, True, True]),
    ],
)
def test_masks_are_kept_by_size_and_border(text, expected):
    assert kept(text, PixelSize("micrometer", 0.25, (100, 120))) == expected


def test_the_size_of_pixels_comes_from_the_image():
    image = open_image(np.zeros((30, 40), np.uint8))
    assert PixelSize.of_image(image) == PixelSize(None, 1.0, (30, 40))
    image.scale, image.unit = (0.5, 0.25), "micrometer"
    assert PixelSize.of_image(image) == PixelSize("micrometer", 0.125, (30, 40))
    image.crs, image.transform = "EPSG:32632", (10.0, 0.0, 500000.0, 0.0, -10.0, 5400000.0)
    size = PixelSize.of_image(image)
    assert size.unit == "meter"
    assert size.area == pytest.approx(100, rel=0.01)


def test_pixels_in_degrees_have_no_one_size():
    image = open_image(np.zeros((30, 40), np.uint8))
    image.crs, image.transform = "EPSG:4326", (1e-4, 0.0, 8.0, 0.0, -1e-4, 48.0)
    with pytest.raises(PromptError, match="those of this image are in degrees; leave the size out"):
        kept("larger than 5 m", PixelSize.of_image(image))
