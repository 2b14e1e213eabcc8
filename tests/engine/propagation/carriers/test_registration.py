"""Objects found again on the next plane."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carriers.registration import Neighbourhood, find_shift, search_region, warp_mask

REGION = Box(100, 200, 180, 280)
OBJECT = Box(125, 225, 155, 255)


@pytest.fixture
def texture(rng):
    """A smooth random picture, larger than the region."""
    picture = ndimage.gaussian_filter(rng.normal(size=(140, 140)), 3)
    return (128 + 60 * picture / picture.std()).clip(0, 255).astype(np.float32)


def part(texture, dy=0, dx=0):
    """The region's pixels, moved by (dy, dx)."""
    return Neighbourhood(np.ascontiguousarray(texture[30 - dy : 110 - dy, 30 - dx : 110 - dx]), REGION)


@pytest.mark.parametrize("shift", [(0, 0), (5, -3), (-10, 8)])
def test_a_shift_is_found(texture, shift):
    assert find_shift(part(texture), part(texture, *shift), OBJECT) == pytest.approx(shift, abs=1)


def test_a_shift_is_in_pixels_of_level_0(texture):
    large = Box(100, 200, 260, 360)
    earlier, later = (Neighbourhood(part(texture, dy).grey, large) for dy in (0, 4))
    assert find_shift(earlier, later, Box(150, 250, 210, 310)) == pytest.approx((8, 0), abs=2)


def test_noise_moves_nothing(rng):
    earlier, later = (Neighbourhood(rng.normal(100, 20, (80, 80)).astype(np.float32), REGION) for _ in "ab")
    assert find_shift(earlier, later, OBJECT) == (0, 0)


def test_a_blank_plane_moves_nothing(texture):
    blank = Neighbourhood(np.full((80, 80), 7, np.float32), REGION)
    assert blank.is_blank
    assert find_shift(part(texture), blank, OBJECT) == (0, 0)
    assert find_shift(blank, part(texture), OBJECT) == (0, 0)


def test_a_mask_is_warped_as_the_pixels_around_it(texture):
    ys, xs = np.indices((80, 80), dtype=np.float32)
    wave = 3 * np.sin(xs / 14)  # rows move by up to three pixels
    mask = np.hypot(ys - 40, xs - 40) < 15
    later = Neighbourhood(ndimage.map_coordinates(part(texture).grey, [ys + wave, xs], order=1, mode="nearest"), REGION)
    truth = ndimage.map_coordinates(mask.astype(float), [ys + wave, xs], order=1) > 0.5

    def iou(found):
        return (found & truth).sum() / (found | truth).sum()

    warped = warp_mask(part(texture), later, (0, 0), mask) > 0
    assert iou(warped) > max(0.9, iou(mask) + 0.05)


def test_a_region_to_search_stays_inside_the_image():
    assert search_region(Box(0, 0, 20, 40), (1000, 1000)) == (0, 0, 46, 66)
    assert Box(0, 0, 90, 90).contains(search_region(Box(60, 60, 85, 85), (90, 90)))
