"""The rectangle that the user draws or selects becomes a box."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.layers.region_layer import REGION_NAME, drawn_box, region_layer

RECTANGLE = np.array([(10.0, 5.0), (10.0, 30.0), (25.0, 30.0), (25.0, 5.0)])


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros((40, 50)), scale=(2, 2))


def test_the_layer_is_made_once_and_selected(viewer, image):
    layer = region_layer(viewer, image)
    viewer.layers.selection.active = image
    assert region_layer(viewer, image) is layer
    assert viewer.layers.selection.active is layer
    assert layer.mode == "add_rectangle"
    assert layer.name == REGION_NAME


def test_without_a_rectangle_there_is_no_box(viewer, image):
    region_layer(viewer, image)
    assert drawn_box(viewer, image, (40, 50)) is None


def test_the_last_rectangle_counts(viewer, image):
    layer = region_layer(viewer, image)
    layer.add_rectangles([RECTANGLE / 2, RECTANGLE])
    layer.selected_data = set()
    assert drawn_box(viewer, image, (40, 50)) == (10, 5, 26, 31)


def test_a_selected_shape_of_the_active_layer_comes_first(viewer, image):
    region_layer(viewer, image).add_rectangles([RECTANGLE])
    other = viewer.add_shapes([RECTANGLE + 4], scale=(2, 2))
    other.selected_data = {0}
    viewer.layers.selection.active = other
    assert drawn_box(viewer, image, (40, 50)) == (14, 9, 30, 35)


def test_a_rectangle_is_cut_at_the_border_of_the_image(viewer, image):
    region_layer(viewer, image).add_rectangles([RECTANGLE * 2])
    assert drawn_box(viewer, image, (40, 50)) == (20, 10, 40, 50)
