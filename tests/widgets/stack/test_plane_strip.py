"""The strip of planes: what it shows, and the mouse on it."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sam.widgets.stack.plane_strip import PlaneStrip, StripContent


@pytest.fixture
def strip(qtbot):
    made = PlaneStrip()
    qtbot.addWidget(made)
    made.resize(200, made.height())
    made.show_content(StripContent(10, {2: 0.9, 3: 0.2, 7: 0.6}, frozenset({2}), 3))
    made.show()
    return made


def pixel(strip, plane, y):
    image = strip.grab().toImage()
    return image.pixelColor(round(strip.position_of(plane)) + 4, y).name()


def test_a_sure_plane_has_a_higher_bar_of_another_colour_than_an_unsure_one(strip):
    floor = strip.height() - 15
    colours = [pixel(strip, plane, floor - 1) for plane in (2, 3, 7, 5)]
    assert len(set(colours)) == 4  # sure, unsure, in between, no object
    assert pixel(strip, 2, floor // 2) == colours[0]
    assert pixel(strip, 3, floor // 2) == pixel(strip, 5, floor // 2)


def test_a_click_and_a_drag_choose_planes(strip, qtbot):
    chosen = []
    strip.plane_chosen.connect(chosen.append)
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(round(strip.position_of(7)), 5))
    assert chosen == [7]
    strip.set_current(7)
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(round(strip.position_of(7)), 5))
    assert chosen == [7]  # it is shown already


def test_the_wheel_moves_by_one_plane_and_stops_at_the_ends(strip):
    chosen = []
    strip.plane_chosen.connect(chosen.append)
    for current, delta in ((5, -120), (5, 120), (0, 120), (9, -120)):
        strip.set_current(current)
        event = QWheelEvent(
            QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(strip, event)
    assert chosen == [6, 4]


def test_of_more_planes_than_pixels_the_weakest_of_a_pixel_is_drawn(strip):
    strip.show_content(StripContent(2000, dict.fromkeys(range(2000), 0.9) | {1005: 0.1}, weakest=1005))
    image = strip.grab().toImage()
    floor = strip.height() - 15
    heights = [image.pixelColor(x, floor // 2).name() for x in (50, int(strip.position_of(1005)))]
    assert heights[0] != heights[1]
    assert strip.plane_at(199.9) == 1999


def test_an_empty_strip_is_painted_and_chooses_nothing(strip):
    chosen = []
    strip.plane_chosen.connect(chosen.append)
    strip.show_content(StripContent())
    strip.grab()
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(50, 5))
    assert not chosen
