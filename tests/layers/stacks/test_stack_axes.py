"""Which leading axis is depth, and which is time."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_sam.layers.stacks.stack_axes import axis_index, can_swap, has_axes, stack_axes, stack_image, swap_axes


def layer(shape, labels=None, **keywords):
    return Image(np.zeros(shape, np.uint8), axis_labels=labels, **keywords)


@pytest.mark.parametrize(
    ("shape", "labels", "expected"),
    [
        ((4, 5), None, ""),
        ((3, 4, 5), None, "?"),
        ((3, 4, 5), ("t", "y", "x"), "t"),
        ((3, 4, 5), ("Slice", "y", "x"), "z"),
        ((2, 3, 4, 5), None, "tz"),
        ((2, 3, 4, 5), ("z", "t", "y", "x"), "zt"),
        ((2, 3, 4, 5), ("c", "frame", "y", "x"), "ct"),
    ],
)
def test_axes_are_named_by_the_layer_or_by_their_order(shape, labels, expected):
    assert stack_axes(layer(shape, labels)) == expected


def test_an_unknown_axis_may_be_both_and_channels_are_none():
    assert has_axes(layer((3, 4, 5))) == (True, True)
    assert has_axes(layer((3, 4, 5), ("t", "y", "x"))) == (False, True)
    assert has_axes(layer((3, 4, 5), ("c", "y", "x"))) == (False, False)
    assert has_axes(layer((4, 5))) == (False, False)


def test_an_axis_of_one_plane_does_not_count():
    assert axis_index(layer((1, 3, 4, 5)), "t") is None
    assert axis_index(layer((1, 3, 4, 5)), "z") == 1


def test_the_image_of_a_layer_gets_the_name_and_scale_of_the_chosen_axis():
    image = stack_image(layer((3, 4, 5), scale=(2.0, 0.5, 0.5)), (1,), 0, "z")
    assert (image.plane_axes, image.plane) == ({"z": 3}, (1,))
    assert (image.placement("z").scale, image.scale) == (2.0, (0.5, 0.5))


def test_depth_and_time_can_be_the_other_way_round():
    image = stack_image(layer((2, 3, 4, 5)), (0, 0), 0, "z")
    assert list(image.plane_axes.items()) == [("z", 2), ("t", 3)]


def test_an_axis_that_was_followed_in_time_is_time_for_the_label_store_too():
    movie = layer((3, 4, 5))
    stack_image(movie, (1,), 0, "t")
    assert stack_image(movie).plane_axes == {"t": 3}
    assert has_axes(movie) == (True, True)  # the user may have been wrong


def test_swapped_axes_are_those_of_the_image_until_they_are_swapped_back():
    volume = layer((3, 4, 5), ("z", "y", "x"), scale=(2.0, 0.5, 0.5))
    stack_image(volume, (1,), 0, "z")
    swap_axes(volume)
    assert has_axes(volume) == (False, True)
    image = stack_image(volume)
    assert (image.plane_axes, image.placement("t").scale) == ({"t": 3}, 2.0)
    swap_axes(volume)
    assert stack_image(volume).plane_axes == {"z": 3}


def test_two_axes_are_swapped_together():
    both = layer((2, 3, 4, 5), ("t", "z", "y", "x"))
    swap_axes(both)
    assert (axis_index(both, "z"), axis_index(both, "t")) == (0, 1)
    assert stack_image(both).plane_axes == {"z": 2, "t": 3}


@pytest.mark.parametrize(
    ("shape", "labels", "expected"),
    [((3, 4, 5), ("t", "y", "x"), True), ((3, 4, 5), None, False), ((4, 5), None, False), ((2, 3, 4, 5), None, True)],
)
def test_only_axes_with_names_can_be_swapped(shape, labels, expected):
    assert can_swap(layer(shape, labels)) == expected
