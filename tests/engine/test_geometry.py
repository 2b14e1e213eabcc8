"""Boxes."""

from __future__ import annotations

import json

import pytest

from napari_sam.engine.geometry import Box


def test_a_box_is_the_plain_tuple():
    box = Box(1, 2, 3, 5)
    assert box == (1, 2, 3, 5)
    assert f"{box}" == "(1, 2, 3, 5)"
    assert json.dumps(box) == "[1, 2, 3, 5]"


@pytest.mark.parametrize(
    ("other", "common", "iou"), [((0, 0, 4, 4), 16, 1.0), ((2, 0, 6, 4), 8, 8 / 24), ((4, 0, 8, 4), 0, 0.0)]
)
def test_intersection_over_union(other, common, iou):
    box = Box(0, 0, 4, 4)
    assert box.intersection(other).area == common
    assert box.iou(other) == pytest.approx(iou)
    assert box.overlaps(other) == (common > 0)


def test_two_boxes_apart_have_no_common_pixel_along_either_axis():
    assert Box(0, 0, 2, 2).intersection((5, 5, 9, 9)).area == 0
    assert Box(0, 0, 2, 2).union((5, 5, 9, 9)) == (0, 0, 9, 9)


def test_clip_grow_and_shift():
    assert Box(2, 2, 4, 4).grow(3).clip((5, 6)) == (0, 0, 5, 6)
    assert Box(2, 2, 4, 4).shift(-2, 1) == (0, 3, 2, 5)
    assert Box(0, 0, 9, 9).contains((1, 1, 9, 9))
    assert not Box(0, 0, 9, 9).contains((1, 1, 10, 9))
