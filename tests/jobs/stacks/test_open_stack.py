import numpy as np
import pytest

import napari_sam as ns
from napari_sam.errors import ImageError
from napari_sam.jobs.stacks.open_stack import choose_planes, open_stack


@pytest.mark.parametrize(
    ("shape", "axis", "count"),
    [
        ((5, 30, 40), "z", 5),
        ((5, 30, 40), "t", 5),
        ((64, 64, 64), "z", 64),
        ((5, 30, 40, 3), "z", 5),
        ((1, 9, 9), "z", 1),
    ],
)
def test_an_array_of_planes_is_a_stack_along_the_axis_that_is_asked_for(shape, axis, count):
    stack = open_stack(np.zeros(shape, np.uint8), axis)
    assert (stack.axis, stack.count, stack.shape) == (axis, count, shape[1:3])


def test_planes_along_an_axis_without_a_usual_name_are_followed():
    assert open_stack(ns.open_image(np.zeros((5, 30, 40)), axes="qyx"), "t").axis == "q"


def test_a_volume_given_to_track_is_told_apart():
    with pytest.raises(ImageError, match=r"5 planes lie along z, not along t.*segment_volume.*axes=tyx"):
        open_stack(ns.open_image(np.zeros((5, 30, 40)), axes="zyx"), "t")


def test_the_axes_of_a_file_with_channels_are_swapped_in_the_remedy():
    with pytest.raises(ImageError, match="axes=tcyx"):
        open_stack(ns.open_image(np.zeros((5, 2, 30, 40)), axes="zcyx"), "t")


def test_a_movie_given_as_a_volume_is_told_apart():
    with pytest.raises(ImageError, match=r"5 planes lie along t, not along z.*track.*axes=zyx"):
        open_stack(ns.open_image(np.zeros((5, 30, 40)), axes="tyx"), "z")


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_a_single_picture_is_no_stack(shape):
    with pytest.raises(ImageError, match=r"one plane.*segment_everything"):
        open_stack(np.zeros(shape, np.uint8), "z")


def test_several_axes_of_which_none_is_asked_for_are_listed():
    with pytest.raises(ImageError, match="3 planes along p x 4 planes along t"):
        open_stack(ns.open_image(np.zeros((3, 4, 9, 9)), axes="ptyx"), "z")


def test_planes_are_chosen_once_and_in_order():
    stack = open_stack(np.zeros((5, 9, 9), np.uint8), "z")
    assert choose_planes(stack, [3, 1, 3]) == [1, 3]
    assert choose_planes(stack, None) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("planes", [[], [-1], [5]])
def test_planes_outside_the_stack_are_refused(planes):
    with pytest.raises(ImageError, match="planes 0 to 4"):
        choose_planes(open_stack(np.zeros((5, 9, 9), np.uint8), "z"), planes)
