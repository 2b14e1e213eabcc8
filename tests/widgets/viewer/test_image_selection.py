"""The selected image follows the layer list, and its planes and view are announced."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QComboBox

from napari_sam.widgets.viewer.image_selection import ImageSelection
from tests.widgets.conftest import RecordingNotifier


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def notifier():
    return RecordingNotifier()


@pytest.fixture
def images(viewer, notifier, qtbot):
    combo = QComboBox()
    qtbot.addWidget(combo)
    return ImageSelection(viewer, combo, notifier)


@pytest.fixture
def layer(viewer, images):
    made = viewer.add_image(np.zeros((40, 50)), name="cells")
    images.update_choices()
    return made


def test_the_first_image_is_selected(images, layer):
    assert images.layer is layer
    assert images._combo.currentText() == "cells"
    assert images.plane == ()
    plane, image = images.read()
    assert (plane, image.shape) == ((), (40, 50))


def test_a_removed_image_is_replaced_by_another(viewer, images, layer, qtbot):
    other = viewer.add_image(np.zeros((9, 9)), name="other")
    viewer.layers.remove(layer)
    changes = []
    images.image_changed.connect(lambda: changes.append(images.layer))
    images.update_choices()
    assert changes == [None, other]


def test_the_user_can_choose_another_image(viewer, images, layer, qtbot):
    other = viewer.add_image(np.zeros((9, 9)), name="other")
    images.update_choices()
    assert images.layer is layer
    with qtbot.waitSignal(images.image_changed):
        images._combo.setCurrentIndex(1)
    assert images.layer is other


def test_contrast_and_pixels_of_the_image_are_followed(images, layer, qtbot):
    with qtbot.waitSignal(images.contrast_changed):
        layer.contrast_limits = (0, 5)
    with qtbot.waitSignal(images.pixels_changed):
        layer.data = np.ones((40, 50))


def test_an_unselected_image_is_no_longer_followed(viewer, images, layer, qtbot):
    viewer.layers.remove(layer)
    images.update_choices()
    with qtbot.assertNotEmitted(images.pixels_changed, wait=20):
        layer.data = np.ones((40, 50))


def test_planes_of_a_stack_are_announced(viewer, images, qtbot):
    viewer.add_image(np.zeros((5, 40, 50)))
    images.update_choices()
    with qtbot.waitSignal(images.plane_changed):
        viewer.dims.set_point(0, 4)
    assert images.plane == (4,)


def test_camera_moves_are_announced_once(viewer, images, layer, qtbot):
    calls = []
    images.view_moved.connect(lambda: calls.append(1))
    for _ in range(5):
        images.announce_view()
    qtbot.wait(150)
    assert calls == [1]


def test_a_view_in_3d_is_an_error_that_tells_what_to_do(viewer, images, layer, notifier):
    viewer.dims.ndisplay = 3
    assert images.plane is None
    assert images.read_quietly() is None
    assert "switch to 2D" in notifier.messages[0]
    assert len(notifier.messages) == 1


def test_without_an_image_there_is_nothing_to_read(images):
    assert (images.plane, images.view, images.read(), images.read_quietly()) == (None, None, None, None)
