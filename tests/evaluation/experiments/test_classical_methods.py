"""Classical methods on shapes they must find."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.evaluation.experiments.classical_methods import (
    BOX_METHODS,
    CLASSICAL_METHODS,
    ObjectCrop,
    segment_from_box,
    segment_from_points,
    to_grey,
)
from napari_sam.evaluation.experiments.simulated_clicks import crop_iou


@pytest.fixture
def disc():
    y, x = np.indices((120, 120))
    mask = (y - 60) ** 2 + (x - 60) ** 2 < 20**2
    noise = np.random.default_rng(0).normal(0, 6, mask.shape)
    grey = np.clip(60 + 120 * mask + noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2), mask, (40, 40, 81, 81)


@pytest.mark.parametrize("name", ["otsu", "flood fill", "random walker"])
def test_point_methods_find_a_bright_disc(disc, name):
    rgb, mask, box = disc
    crop = ObjectCrop(rgb, box)
    found = crop.to_full_size(segment_from_points(name, crop.pixels, [crop.to_crop(60, 60)], [1]))
    assert crop_iou(found, crop.region[:2], mask, (0, 0)) > 0.8


@pytest.mark.parametrize("name", ["grabcut", "otsu"])
def test_box_methods_find_a_bright_disc(disc, name):
    rgb, mask, box = disc
    crop = ObjectCrop(rgb, box)
    found = crop.to_full_size(segment_from_box(name, crop.pixels, crop.box_to_crop(box)))
    assert crop_iou(found, crop.region[:2], mask, (0, 0)) > 0.85


def test_a_background_click_removes_what_it_floods(disc):
    rgb, _, box = disc
    crop = ObjectCrop(rgb, box)
    both = segment_from_points("flood fill", crop.pixels, [crop.to_crop(60, 60), crop.to_crop(62, 62)], [1, 0])
    assert both.sum() < 100


def test_large_crops_are_subsampled_and_masks_have_full_size():
    rgb = np.zeros((900, 700, 3), np.uint8)
    crop = ObjectCrop(rgb, (100, 100, 700, 600))
    assert max(crop.pixels.shape[:2]) <= 128
    assert crop.to_full_size(np.ones(crop.pixels.shape[:2], bool)).shape == crop.region.shape
    y, x = crop.to_crop(100, 100)
    assert abs(y * crop.step + crop.region[0] - 100) <= crop.step
    assert abs(x * crop.step + crop.region[1] - 100) <= crop.step


@pytest.mark.parametrize("name", CLASSICAL_METHODS)
def test_even_images_break_no_method(name):
    rgb = np.full((40, 40, 3), 90, np.uint8)
    found = (
        segment_from_box(name, rgb, (5, 5, 30, 30))
        if name in BOX_METHODS
        else segment_from_points(name, rgb, [(9, 9)], [1])
    )
    assert found.shape == (40, 40)


def test_grey_values_span_zero_to_one():
    grey = to_grey(np.array([[10, 20, 30]], np.uint8))
    assert grey.tolist() == [[0, 0.5, 1]]
    assert to_grey(np.full((2, 2, 3), 9, np.uint8)).max() == 0


def test_a_crop_surrounds_the_object():
    crop = ObjectCrop(np.zeros((100, 100, 3), np.uint8), (40, 40, 60, 60))
    assert crop.region == (30, 30, 70, 70)
    assert crop.box_to_crop((40, 40, 60, 60)) == (10, 10, 30, 30)


def test_a_crop_stays_inside_the_image():
    crop = ObjectCrop(np.zeros((50, 50, 3), np.uint8), (0, 0, 10, 50))
    assert crop.region == (0, 0, 18, 50)
    assert crop.to_crop(99, 99) == (17, 49)


def test_the_filled_box_is_a_method():
    mask = segment_from_box("box", np.zeros((9, 9, 3), np.uint8), (1, 2, 4, 6))
    assert np.count_nonzero(mask) == 12
