"""The camera moves to a box, and the visible part is known in level-0 pixels."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.widgets.viewer.canvas_view import (
    camera,
    canvas_size,
    cursor_position,
    visible_box,
    zoom_to,
    zoom_to_image,
)


@pytest.fixture
def viewer():
    return ViewerModel()


def test_a_box_fills_a_third_of_the_canvas(viewer):
    image = viewer.add_image(np.zeros((2000, 3000)), scale=(0.5, 0.5))
    zoom_to(viewer, image, (), (500, 1000, 900, 1400))
    assert camera(viewer).center[-2:] == pytest.approx((350, 600))
    assert camera(viewer).zoom == pytest.approx(min(canvas_size(viewer)) / (200 * 3))


def test_a_speck_is_shown_with_context(viewer):
    image = viewer.add_image(np.zeros((2000, 3000)))
    zoom_to(viewer, image, (), (500, 1000, 502, 1002))
    assert camera(viewer).zoom == pytest.approx(min(canvas_size(viewer)) / 96)


def test_the_sliders_move_to_the_plane(viewer):
    image = viewer.add_image(np.zeros((5, 200, 300)))
    zoom_to(viewer, image, (3,), (50, 100, 90, 140))
    assert viewer.dims.current_step[0] == 3


def test_one_image_fills_the_canvas_whatever_others_there_are(viewer):
    viewer.add_image(np.zeros((9000, 9000)))
    image = viewer.add_image(np.zeros((1, 300)), scale=(0.5, 0.5))
    zoom_to_image(viewer, image)
    assert camera(viewer).center[-2:] == pytest.approx((0, 74.75))
    assert camera(viewer).zoom == pytest.approx(canvas_size(viewer)[1] / (150 * 1.05))


def test_the_visible_part_is_in_level_0_pixels(viewer):
    image = viewer.add_image([np.zeros((400, 400)), np.zeros((100, 100))], multiscale=True)
    image._data_level = 1
    image.corner_pixels = np.array([[10, 20], [50, 60]])
    assert visible_box(image) == (40, 80, 200, 240)


def test_the_cursor_is_in_image_pixels(viewer):
    image = viewer.add_image(np.zeros((40, 50)), scale=(2, 2), translate=(10, 10))
    viewer.cursor.position = (20, 30)
    assert cursor_position(viewer, image) == (5.0, 10.0)
