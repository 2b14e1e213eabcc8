"""What newcomers do: click beside the image, draw points for boxes, open another image, work in a low window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.widgets.dock_panel import FIND, OBJECTS, PROJECT

A, C = (122, 182), (475, 482)
PAGES = range(PROJECT + 1)


@pytest.fixture
def opened(window, nuclei):
    """A window with the sample image, and its layer."""
    return window, window.show(nuclei[0], name="nuclei")


def accept(window, layer, yx):
    window.predict(lambda: window.click(layer, yx))
    window.key("C")
    window.settle()


def test_a_click_beside_the_image_does_not_spoil_the_next_one(opened):
    window, layer = opened
    window.click(layer, (-20, 100))
    window.settle()
    assert len(window.viewer.layers["SAM points"].data) == 0
    assert any("outside “nuclei”" in message and "click inside" in message for message in window.errors)
    accept(window, layer, A)
    assert window.labels()[A] == 1
    assert len(window.errors) == 1


def test_a_click_beside_the_image_leaves_the_points_on_the_object(opened):
    window, layer = opened
    window.predict(lambda: window.click(layer, A))
    window.click(layer, (-20, 100))
    window.settle()
    assert len(window.viewer.layers["SAM points"].data) == 1
    window.settle(400)
    window.key("C")
    window.settle()
    assert window.errors[1:] == []
    assert window.labels()[A] == 1


def test_with_one_object_per_box_a_click_is_still_answered(opened):
    window, layer = opened
    window.key("S", "ShiftModifier")
    assert window.panel.click.batch.isChecked()
    accept(window, layer, A)
    assert window.labels()[A] == 1
    assert window.errors == []


def test_table_and_plot_show_nothing_of_the_image_before(opened):
    window, layer = opened
    accept(window, layer, A)
    accept(window, layer, C)
    window.panel.tabs.setCurrentIndex(OBJECTS)
    window.panel.objects.table.click()
    window.panel.objects.plot.click()
    table, plot = window.dock.objects.table.view, window.dock.objects.plot.view
    window.wait(lambda: table.rows.rowCount() == 2 and plot.canvas is not None and plot.canvas.values is not None)
    window.show(np.zeros((300, 300), np.uint8), name="other")
    assert window.panel.labels.currentText().startswith("new")
    window.wait(lambda: table.rows.rowCount() == 0 and plot.canvas.values is None)
    assert plot.message.isVisible()
    window.viewer.layers.selection.active = layer  # and back
    window.wait(lambda: table.rows.rowCount() == 2 and plot.canvas.values is not None)


def test_return_looks_for_the_objects_of_the_page_find(opened, monkeypatch):
    window, _ = opened
    window.panel.tabs.setCurrentIndex(FIND)
    window.settle()
    window.key("Return")
    assert any("an object" in message for message in window.errors)  # without an example there is nothing to find


def test_napari_knows_the_keys_of_all_pages(opened):
    window, _ = opened
    for page in PAGES:
        window.panel.tabs.setCurrentIndex(page)
        window.settle()
        assert all(str(key) for key in window.viewer.keymap)  # an unknown key has an empty name


def test_all_tabs_are_in_sight_beside_a_scroll_bar(opened):
    window, _ = opened
    window.viewer.window.resize(1300, 600)
    window.settle()
    tabs = window.panel.tabs
    assert tabs.width() < window.panel.width() - window.panel.layout().contentsMargins().left() * 2
    assert tabs.tabBar().tabRect(PROJECT).right() <= tabs.width()
