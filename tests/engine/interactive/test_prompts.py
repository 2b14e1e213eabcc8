"""Prompts: what is accepted, what is refused and how, and where they land in the network's frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.engine.interactive.prompts import MaskPrompt, parse_prompt
from napari_sam.engine.windows import Window
from napari_sam.errors import PromptError

SHAPE = (100, 200)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ({}, "prompt is empty"),
        ({"points": [(100.6, 3)]}, r"\(100.6, 3\) lies outside the image of shape \(100, 200\)"),
        ({"points": [(3, -1)]}, "outside"),
        ({"points": [(np.nan, 3)]}, "not finite"),
        ({"points": [(1, 2, 3)]}, r"shape \(1, 3\)"),
        ({"points": "here"}, "not numbers"),
        ({"points": [(1, 2)], "point_labels": [1, 0]}, "one label per point"),
        ({"points": [(1, 2)], "point_labels": [2]}, "label 2"),
        ({"points": [(1, 2)], "point_labels": [0]}, "only background"),
        ({"box": (5, 5, 5, 9)}, "is empty"),
        ({"box": (9, 5, 5, 9)}, "is empty"),
        ({"box": (5, 5, 9)}, "four finite numbers"),
        ({"box": (5, 5, 9, np.inf)}, "four finite numbers"),
        ({"box": (500, 5, 600, 9)}, "outside"),
        ({"mask": np.zeros((4, 8))}, "square"),
        ({"mask": np.full((4, 4), np.nan)}, "finite"),
        ({"mask": MaskPrompt(np.zeros((2, 2), bool), (0, 0, 2, 2))}, "empty"),
        ({"mask": MaskPrompt(np.ones((2, 2), bool), (0, 0, 3, 2))}, "bbox"),
    ],
)
def test_bad_prompts_are_refused_by_name(ask, words):
    with pytest.raises(PromptError, match=words):
        parse_prompt(SHAPE, **ask)


def test_a_box_is_cut_at_the_border():
    assert parse_prompt(SHAPE, box=(-5, 190, 50, 250)).box == (0.0, 190.0, 50.0, 200.0)


def test_points_and_box_become_sam_coordinates():
    prompt = parse_prompt(SHAPE, points=[(10, 20)], point_labels=[1], box=(5, 15, 30, 40))
    coords, labels = prompt.in_window(Window((0, 10, 100, 110), 1024))
    assert labels.tolist() == [1, 2, 3]
    np.testing.assert_allclose(coords, np.array([(10, 10), (5, 5), (30, 30)]) * 10.24)


@given(st.floats(0, 99), st.floats(0, 199), st.integers(1, 2000), st.integers(1, 2000))
def test_frames_round_trip(y, x, h, w):
    window = Window((3, 7, 3 + h, 7 + w), 512)
    there = window.to_network(np.array([[y, x]])) + np.array(window.scale) * 0.5 - 0.5
    np.testing.assert_allclose(window.from_network(there), [[y, x]], atol=1e-6)


def test_a_drawn_region_becomes_logits_where_it_lies():
    region = MaskPrompt(np.ones((50, 25), bool), (0, 100, 50, 125))
    logits = parse_prompt(SHAPE, mask=region).mask_logits(Window((0, 0, 100, 200), 512), 256)
    inside = logits > 0
    assert inside[:64, 128:160].all()
    assert inside.sum() == 64 * 32


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_a_mask_of_the_image_is_a_region(dtype):
    mask = np.zeros(SHAPE, dtype)
    mask[10:20, 30:50] = 1
    region = parse_prompt(SHAPE, mask=mask).mask
    assert region.bbox == (10, 30, 20, 50)
    assert region.mask.dtype == bool
    assert region.mask.all()


@pytest.mark.parametrize("mask", [np.ones((3, 3), bool), np.zeros(SHAPE, bool), np.ones((256, 256), np.uint8)])
def test_a_mask_of_another_shape_or_without_pixels_is_refused(mask):
    with pytest.raises(PromptError, match="mask") as caught:
        parse_prompt(SHAPE, mask=mask)
    assert caught.value.parameter == "mask"


def test_logits_alone_do_not_say_where_the_object_lies():
    prompt = parse_prompt(SHAPE, mask=np.ones((256, 256), np.float32))
    with pytest.raises(PromptError, match="add a point or a box"):
        _ = prompt.extent
