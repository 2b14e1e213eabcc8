"""Stacks in a real window: the mouse, the keys and the 3-D view."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from tests.widgets.test_dock import A, _iou


@pytest.fixture
def stack(window, nuclei):
    """A window with three equal planes, the middle one shown."""
    layer = window.show(np.stack([nuclei[0]] * 3), name="stack")
    window.viewer.dims.set_point(0, 1)
    window.settle()
    return window, layer


def follow(window, layer):
    """Click an object on the middle plane and follow it."""
    window.predict(lambda: window.click(layer, (1, *A)))
    window.key("G")
    window.wait(lambda: window.dock.click.stack.in_hand is not None)
    window.settle()


def click_strip(window, plane):
    strip = window.panel.click.stack.strip
    spot = QPoint(round(strip.position_of(plane)), 10)
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)


def test_an_object_is_clicked_followed_checked_and_saved(stack, nuclei):
    window, layer = stack
    follow(window, layer)
    assert "C saves all" in window.guide
    assert sorted(window.dock.click.stack.in_hand.scores) == [0, 1, 2]
    click_strip(window, 2)
    window.settle()
    assert window.dock.images.plane == (2,)
    assert window.viewer.layers["SAM preview"].data.any()
    window.key("C")
    assert [_iou(window.labels()[plane], 1, nuclei[1], A) > 0.7 for plane in range(3)] == [True] * 3
    window.key("Z", "ControlModifier")
    assert not window.labels().any()
    assert not window.errors


def test_the_3d_view_breaks_nothing_and_explains_a_click(stack):
    window, layer = stack
    follow(window, layer)
    window.viewer.dims.ndisplay = 3
    window.settle(400)
    assert window.viewer.layers["SAM preview"].data.shape[0] == 3  # the whole object
    QTest.mouseClick(window.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(300, 300))
    window.settle()
    assert any("clicked in 2D" in message for message in window.errors)
    assert window.dock.click.prompts.is_empty
    for name in "FBRWYC":
        window.key(name)
    window.settle()
    assert (window.labels() == 1).any((1, 2)).all()
    window.viewer.dims.ndisplay = 2
    window.settle(400)
    window.predict(lambda: window.click(layer, (*window.dock.images.plane, 30, 30)))
    assert window.dock.click.answer is not None
