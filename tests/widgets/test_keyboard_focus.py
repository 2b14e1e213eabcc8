"""The dock without a mouse: every control is reached by Tab and works by keys, and the canvas keeps its keys."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QLineEdit, QPushButton, QTabBar, QVBoxLayout, QWidget

from napari_sam.widgets.dock_panel import OBJECTS
from napari_sam.widgets.find.score_histogram import ScoreHistogram
from napari_sam.widgets.keyboard_focus import FocusFrame, inputs_in_order
from napari_sam.widgets.objects.views.object_table import ObjectTable
from napari_sam.widgets.stack.plane_strip import PlaneStrip, StripContent

PAGES = range(7)
PARTS_OF_QT = (QLineEdit, QTabBar)


@pytest.fixture
def opened(window, nuclei):
    """A window with an image, whose canvas has the focus."""
    window.layer = window.show(nuclei[0], name="nuclei")
    focus_canvas(window)
    return window


def focus_canvas(window):
    """Give the focus to the canvas: a window of a test in another process may have taken it."""
    window.viewer.window._qt_window.activateWindow()
    window.canvas.native.setFocus()
    window.wait(lambda: QApplication.focusWidget() is window.canvas.native)


def press(window, key, modifier=Qt.KeyboardModifier.NoModifier):
    """Press a key where the focus is."""
    QTest.keyClick(
        QApplication.focusWidget() or window.viewer.window._qt_window, getattr(Qt.Key, f"Key_{key}"), modifier
    )
    window.qtbot.wait(30)


def reached(window):
    """Return what Tab visits in the dock, from the pages on."""
    press(window, "F6")
    visited = []
    while window.dock.isAncestorOf(QApplication.focusWidget()) and QApplication.focusWidget() not in visited:
        visited.append(QApplication.focusWidget())
        press(window, "Tab")
    return visited


def usable(window):
    """Return the inputs of the shown page that can be used; of a group of buttons only the checked one."""
    page = window.panel.tabs.currentWidget()
    shown = [x for x in inputs_in_order(page) if x.isVisible() and x.isEnabled()]
    return [x for x in shown if not isinstance(x, QAbstractButton) or x.group() is None or x.isChecked()]


def test_tab_visits_every_control_of_every_page_from_top_to_bottom(opened):
    for page in PAGES:
        opened.panel.tabs.setCurrentIndex(page)
        opened.settle()
        focus_canvas(opened)
        visited = reached(opened)
        assert visited[0] is opened.panel.tabs.tabBar()
        on_page = [x for x in visited if opened.panel.tabs.currentWidget().isAncestorOf(x)]
        assert on_page == usable(opened)
        tops = [x.mapTo(opened.dock, QPoint(0, x.height() // 2)).y() for x in on_page]
        assert all(below >= above - 8 for above, below in itertools.pairwise(tops)), on_page


def test_no_button_is_out_of_reach(opened):
    buttons = [x for x in opened.dock.findChildren(QAbstractButton) if not isinstance(x.parent(), PARTS_OF_QT)]
    lost = [x for x in buttons if x.group() is None and not x.focusPolicy() & Qt.FocusPolicy.TabFocus]
    assert [x.text() or x.toolTip() for x in lost] == []


def test_arrows_open_the_pages_and_leave_the_focus_on_the_tabs(opened):
    press(opened, "F6")
    for page in PAGES[1:]:
        press(opened, "Right")
        assert opened.panel.tabs.currentIndex() == page
        assert QApplication.focusWidget() is opened.panel.tabs.tabBar()


def test_space_presses_a_button_and_arrows_choose_a_tool(opened):
    opened.panel.click.foreground.setFocus()
    press(opened, "Right")
    assert opened.dock.click.tools.current == "background"
    opened.dock.click.tools.use_foreground()
    opened.predict(lambda: opened.click(opened.layer, (122, 182)))
    opened.panel.click.accept.setFocus()
    press(opened, "Space")
    opened.wait(lambda: opened.writer is not None)
    assert opened.labels()[122, 182] == 1


def test_the_canvas_has_its_keys_after_a_click_on_a_button(opened):
    QTest.mouseClick(opened.panel.click.background, Qt.MouseButton.LeftButton)
    assert not opened.dock.isAncestorOf(QApplication.focusWidget())
    press(opened, "R")
    assert opened.dock.click.tools.current == "box"


def test_the_keys_of_the_page_work_while_a_button_has_the_focus(opened):
    opened.panel.click.clear.setFocus()
    press(opened, "R")
    assert opened.dock.click.tools.current == "box"


def test_escape_and_f6_lead_back_to_the_canvas(opened):
    opened.panel.model.setFocus()
    press(opened, "Escape")
    assert not opened.dock.isAncestorOf(QApplication.focusWidget())
    press(opened, "F6")
    assert QApplication.focusWidget() is opened.panel.tabs.tabBar()
    press(opened, "F6")
    press(opened, "R")
    assert opened.dock.click.tools.current == "box"


def test_a_frame_shows_which_control_has_the_focus(opened):
    (frame,) = [x for x in QApplication.allWidgets() if isinstance(x, FocusFrame) and x is opened.dock._keyboard._frame]
    assert not frame.isVisible()
    opened.panel.click.clear.setFocus()
    assert frame.isVisible()
    assert frame.geometry().contains(opened.panel.click.clear.geometry())
    opened.canvas.native.setFocus()
    assert not frame.isVisible()


def test_the_page_objects_takes_its_keys_while_the_classes_have_the_focus(opened):
    opened.panel.tabs.setCurrentIndex(OBJECTS)
    opened.settle()
    opened.panel.objects.classes.tree.setFocus()
    press(opened, "B")
    assert opened.dock.objects.canvas.tool != "pick"


def test_arrows_move_the_line_of_the_histogram(qtbot):
    histogram, thresholds = ScoreHistogram(), []
    qtbot.addWidget(histogram)
    histogram.threshold_changed.connect(thresholds.append)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_End, Qt.Key.Key_Home):
        QTest.keyClick(histogram, key)
    assert thresholds == pytest.approx([0.51, 0.5, 1.0, 0.0])


def test_arrows_go_through_the_planes_of_a_strip(qtbot):
    strip, planes = PlaneStrip(), []
    qtbot.addWidget(strip)
    strip.show_content(StripContent(count=5, scores={1: 0.5}))
    strip.plane_chosen.connect(planes.append)
    strip.plane_chosen.connect(strip.set_current)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_End, Qt.Key.Key_Left, Qt.Key.Key_Home):
        QTest.keyClick(strip, key)
    assert planes == [1, 4, 3, 0]


def test_enter_in_the_table_goes_to_the_object_and_tab_leaves_it(qtbot):
    table, visited = ObjectTable(), []
    qtbot.addWidget(table)
    table.show_values(pd.DataFrame({"label": [3, 5], "area_px": [10, 20]}))
    table.visited.connect(visited.append)
    table.view.setCurrentIndex(table.rows.index(1, 0))
    QTest.keyClick(table.view, Qt.Key.Key_Return)
    assert visited == [5]
    assert not table.view.tabKeyNavigation()


def test_the_frame_survives_controls_that_are_deleted_under_it(opened):
    for _ in range(2):
        row = QWidget(opened.dock)
        QVBoxLayout(row).addWidget(QPushButton("once"))
        row.show()
        row.layout().itemAt(0).widget().setFocus(Qt.FocusReason.TabFocusReason)
        opened.wait(lambda row=row: bool(row.findChildren(FocusFrame)))  # which goes with the row
        row.deleteLater()
        opened.wait(lambda row=row: not isalive(row))
    press(opened, "F6")
    assert any(frame.isVisible() for frame in opened.dock.findChildren(FocusFrame))
