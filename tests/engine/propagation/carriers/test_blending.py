"""Masks between two others."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carriers.blending import blend, signed_distance

FRAME = Box(0, 0, 60, 60)


def disc(radius, y=30, x=30):
    ys, xs = np.indices(FRAME.shape)
    return np.hypot(ys - y, xs - x) <= radius


def test_a_blend_of_two_discs_is_a_disc_between_them():
    mask, box = blend((disc(10), FRAME), (disc(20), FRAME), 0.25)
    assert box.height == pytest.approx(35, abs=2)
    assert np.count_nonzero(mask) == pytest.approx(np.pi * 17.5**2, rel=0.05)


def test_masks_in_different_boxes_are_blended_in_place():
    one = np.ones((10, 10), bool)
    _, box = blend((one, Box(100, 100, 110, 110)), (one, Box(104, 100, 114, 110)), 0.5)
    assert box == (102, 100, 112, 110)


@pytest.mark.parametrize(("weight", "kept"), [(0.7, 0), (0.3, 100)])
def test_of_masks_far_apart_the_heavier_one_is_kept(weight, kept):
    one = np.ones((4, 4), bool)
    _, box = blend((one, Box(0, 0, 4, 4)), (one, Box(100, 100, 104, 104)), weight)
    assert box.y0 == kept


def test_signed_distance_is_positive_inside():
    distance = signed_distance(disc(10))
    assert distance[30, 30] == pytest.approx(10.5, abs=1)
    assert distance[0, 30] == pytest.approx(-20, abs=1.5)
    assert (signed_distance(np.zeros((3, 8), bool)) == -8).all()
    assert (signed_distance(np.ones((3, 8), bool)) > 0).all()
