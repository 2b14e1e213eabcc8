"""Stacks along one axis of an image."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.normalisation import Normalisation
from napari_sam.errors import ImageError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.image_stack import ImageStack
from napari_sam.io.images.open_image import open_image


def opened(shape, axes, dtype=np.uint8):
    values = np.arange(np.prod(shape)).reshape(shape) % 251
    return open_image(values.astype(dtype), axes=axes)


def test_planes_are_those_of_the_array(rng):
    pixels = rng.integers(0, 255, (3, 5, 20, 30), dtype=np.uint8)
    image = open_image(pixels, axes="tzyx").with_plane((2, 1), (0,))
    stack = ImageStack(image, "z")
    assert (stack.count, stack.current, stack.shape, stack.position) == (5, 1, (20, 30), 1)
    assert stack.leading(4) == (2, 4)
    assert (stack.plane(4).read(0, 0, 0, 20, 30)[..., 0] == pixels[2, 4]).all()
    assert stack.plane(1) is image


def test_other_planes_have_coarse_levels_too():
    image = opened((2, 3000, 2500), "zyx")
    assert len(ImageStack(image).plane(1).levels) == len(image.levels) > 1


def test_planes_keep_their_channels():
    stack = ImageStack(opened((4, 12, 14, 3), "zyxc"))
    assert stack.plane(2).channels == 3


@pytest.mark.parametrize(
    ("shape", "axes", "chosen"),
    [((4, 9, 9), "tyx", "t"), ((4, 6, 9, 9), "tzyx", "z"), ((4, 1, 9, 9), "tzyx", "t"), ((1, 9, 9), "zyx", "z")],
)
def test_the_axis_is_the_only_one_with_planes_or_z(shape, axes, chosen):
    assert ImageStack(opened(shape, axes)).axis == chosen


@pytest.mark.parametrize(
    ("shape", "axes", "axis", "words"),
    [
        ((9, 9), "yx", None, "one plane only"),
        ((9, 9), "yx", "z", "axis is 'z'.*one plane only"),
        ((4, 9, 9), "zyx", "t", "axis is 't'; .* has 4 planes along z; follow them along axis=z; .*axes=tyx"),
        ((4, 5, 9, 9), "abyx", None, "4 planes along a x 5 planes along b; choose with axis"),
    ],
)
def test_an_axis_that_is_not_there_is_named(shape, axes, axis, words):
    with pytest.raises(ImageError, match=words):
        ImageStack(opened(shape, axes), axis)


def test_a_plane_that_is_not_there_is_named():
    with pytest.raises(ImageError, match=r"plane 7: .* planes 0 to 3 along z"):
        ImageStack(opened((4, 9, 9), "zyx")).plane(7)


@pytest.mark.parametrize(
    ("z", "spacing"),
    [
        (AxisPlacement(2000, 0, "nanometer"), 4.0),
        (AxisPlacement(5000, 0, "micrometer"), None),  # absurd
        (AxisPlacement(2, 0, "second"), None),
        (AxisPlacement(0, 0, "micrometer"), None),
    ],
)
def test_spacing_is_in_pixels_where_it_makes_sense(z, spacing):
    image = opened((4, 9, 9), "zyx")
    image.place({"z": z, "y": AxisPlacement(0.5, 0, "micrometer"), "x": AxisPlacement(0.5, 0, "micrometer")})
    found = ImageStack(image).spacing
    assert found == (None if spacing is None else pytest.approx(spacing))


def test_time_has_no_spacing():
    assert ImageStack(opened((4, 9, 9), "tyx")).spacing is None


def test_normalisation_sees_other_planes_than_the_current_one():
    pixels = np.zeros((9, 40, 40), np.uint16)
    pixels[4] = np.arange(1600).reshape(40, 40)
    found = ImageStack(open_image(pixels, axes="zyx")).normalisation()
    assert found.high[0] > 1000
    assert ImageStack(opened((4, 9, 9), "zyx")).normalisation() == Normalisation()


def test_normalisation_leaves_out_planes_that_cannot_be_read():
    class Damaged:
        shape, dtype, ndim = (3, 8, 8), np.dtype(np.uint16), 3

        def __getitem__(self, index):
            if index[0] != 1:
                raise OSError("damaged")
            return np.arange(64, dtype=np.uint16).reshape(8, 8)[index[1:]]

    found = ImageStack(open_image(Damaged(), axes="zyx")).normalisation()
    assert found.high[0] == pytest.approx(63, abs=1)


def test_a_unit_that_does_not_fit_its_axis_is_reported():
    movie = open_image(np.zeros((3, 8, 9), np.uint8), axes="zyx")
    assert not [note for note in movie.choices if "swapped" in note]
    movie.place({"z": AxisPlacement(30.0, 0.0, "second")})
    assert (
        "its axis z has the unit second: if depth and time are swapped, name the axes with {axes=tyx}" in movie.choices
    )


def test_depth_before_time_is_reported_because_label_stores_have_time_first():
    assert [note for note in opened((2, 3, 8, 9), "ztyx").choices if "transcode" in note]
    assert not [note for note in opened((2, 3, 8, 9), "tzyx").choices if "transcode" in note]
