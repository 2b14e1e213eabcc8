"""Planes of an image layer, and layers that lie on it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import ImageError
from napari_sam.layers.placement import crop_placement, current_plane, image_plane_shape, placement, translate_to

TRANSFORMS = [
    {},
    {"scale": (0.5, 0.25), "translate": (100, -7)},
    {"scale": (2, 2), "rotate": 30, "translate": (5, 5)},
    {"affine": np.array([[0, 2.0, 3], [1.5, 0, 4], [0, 0, 1]])},
]


def test_another_axis_order_is_refused(viewer):
    image = viewer.add_image(np.zeros((5, 40, 50)))
    viewer.dims.order = (1, 0, 2)
    with pytest.raises(ImageError, match="y and x"):
        current_plane(viewer, image)


def test_the_visible_plane_is_the_one_of_the_sliders(viewer):
    image = viewer.add_image(np.zeros((5, 3, 40, 50)))
    viewer.dims.set_point((0, 1), (2, 1))
    assert current_plane(viewer, image) == (2, 1)


def test_a_slider_beyond_the_image_shows_its_last_plane(viewer):
    viewer.add_image(np.zeros((9, 40, 50)))
    short = viewer.add_image(np.zeros((4, 40, 50)))
    viewer.dims.set_point(0, 8)
    assert current_plane(viewer, short) == (3,)


def test_a_3d_view_is_refused(viewer):
    image = viewer.add_image(np.zeros((5, 40, 50)))
    viewer.dims.ndisplay = 3
    with pytest.raises(ImageError, match="switch to 2D"):
        current_plane(viewer, image)


@pytest.mark.parametrize(
    ("data", "keywords"),
    [
        (np.zeros((40, 50)), {}),
        (np.zeros((40, 50, 3)), {"rgb": True}),
        ([np.zeros((40, 50)), np.zeros((20, 25))], {"multiscale": True}),
    ],
)
def test_the_shape_of_an_image_leaves_colour_and_levels_out(viewer, data, keywords):
    assert image_plane_shape(viewer.add_image(data, **keywords)) == (40, 50)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_crop_lies_on_its_part_of_the_image(viewer, transform):
    image = viewer.add_image(np.zeros((40, 50)), **transform)
    keywords = placement(image) | {"translate": translate_to(image, (10, 20))}
    crop = viewer.add_labels(np.zeros((4, 6), int), **keywords)
    np.testing.assert_allclose(crop.data_to_world((3, 5)), image.data_to_world((13, 25)), atol=1e-6)


def test_a_reduced_crop_is_centred_on_its_pixels(viewer):
    image = viewer.add_image(np.zeros((3, 40, 50)), scale=(1, 2, 2))
    keywords = placement(image) | crop_placement(image, (1,), (8, 16), 4)
    crop = viewer.add_labels(np.zeros((1, 4, 6), int), **keywords)
    np.testing.assert_allclose(crop.data_to_world((0, 1, 1)), image.data_to_world((1, 13.5, 21.5)))
