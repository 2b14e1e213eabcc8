"""Every input of the dock and its views says what it is: by a tooltip, and by a name for screen readers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QTabBar,
    QTextEdit,
)

from napari_sam.widgets.dock import SamDock
from napari_sam.widgets.objects.views.object_plot import ObjectPlot
from napari_sam.widgets.objects.views.object_table import ObjectTable
from tests.widgets.conftest import RecordingNotifier
from tests.widgets.test_dock_parts import FakeSession

INPUTS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
)
PARTS_OF_QT = (QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QTabBar)


def is_part(widget):
    """Whether a widget is a part of an input, which has the tooltip, or of Qt itself."""
    if isinstance(widget, QScrollBar | QHeaderView):
        return True
    parent = widget.parent()
    while parent is not None:
        if isinstance(parent, PARTS_OF_QT):
            return True
        parent = parent.parent()
    return False


def inputs_of(widget):
    return [child for kind in INPUTS for child in widget.findChildren(kind) if not is_part(child)]


def name_of(widget):
    """Return what a screen reader says: the name, else the text of a button, or of the label before an input."""
    if widget.accessibleName():
        return widget.accessibleName()
    if isinstance(widget, QAbstractButton):
        return widget.text()
    labels = widget.window().findChildren(QLabel)
    return next((label.text() for label in labels if label.buddy() is widget), "")


def unnamed(widget):
    """Return the inputs without a tooltip, or without a name that has letters."""
    found = {}
    for child in inputs_of(widget):
        lacks = [] if child.toolTip().strip() else ["tooltip"]
        lacks += [] if any(character.isalpha() for character in name_of(child)) else ["name"]
        if lacks:
            text = child.text() if hasattr(child, "text") else ""
            found[f"{type(child.parent()).__name__}/{type(child).__name__} {text!r} {child.toolTip()!r}"] = lacks
    return found


@pytest.fixture
def dock(qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    engine = SimpleNamespace(unfinished=lambda path: None)
    made = SamDock(ViewerModel(), session=FakeSession(), engine=engine, notifier=RecordingNotifier())
    qtbot.addWidget(made)
    yield made
    made.shutdown()
    qtbot.waitUntil(lambda: not made.thread.busy, timeout=60_000)


def test_every_input_of_the_dock_has_a_tooltip_and_a_name(dock):
    assert len(inputs_of(dock)) > 100
    assert unnamed(dock) == {}


def test_every_page_has_a_tooltip(dock):
    tabs = dock.panel.tabs
    assert all(tabs.tabToolTip(index) for index in range(tabs.count()))


@pytest.mark.parametrize("make", [ObjectTable, ObjectPlot])
def test_every_input_of_a_view_has_a_tooltip_and_a_name(make, qtbot):
    view = make()
    qtbot.addWidget(view)
    assert inputs_of(view)
    assert unnamed(view) == {}
