"""The page "Objects" in a real window: the mouse selects, keys give classes, the table follows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_sam.layers.objects.selection_outline import OUTLINE_NAME
from napari_sam.widgets.dock_panel import OBJECTS
from napari_sam.widgets.objects.views import view_dock
from tests.widgets.objects.conftest import SIDES, paint_objects

MIDDLE = {label: (5 + side / 2, 5 + 20 * (label - 1) + side / 2) for label, side in SIDES.items()}


@pytest.fixture
def selecting(window):
    """A window that shows the page, with four objects."""
    window.layer = window.show(np.zeros((40, 90), np.uint8), name="cells")
    paint_objects(window.dock.labels.ready_store().store)
    window.panel.tabs.setCurrentIndex(OBJECTS)
    window.settle()
    window.selected = lambda: window.dock.objects.selected.ordered
    return window


def drag(window, spots, modifier="NoModifier"):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    native, left = window.canvas.native, Qt.MouseButton.LeftButton
    held = getattr(Qt.KeyboardModifier, modifier)
    points = [window.canvas_position(window.layer, spot) for spot in spots]
    QTest.mouseMove(native, points[0])
    QTest.mousePress(native, left, held, points[0])
    for point in [*points[1:], points[-1]]:
        window.qtbot.wait(30)
        QTest.mouseMove(native, point)
    QTest.mouseRelease(native, left, held, points[-1])
    window.settle()


def test_the_mouse_selects_and_keys_give_classes(selecting):
    window = selecting
    window.click(window.layer, MIDDLE[2])
    window.wait(lambda: window.selected() == [2])
    assert OUTLINE_NAME in window.viewer.layers
    drag(window, [MIDDLE[3]], "ShiftModifier")
    assert window.selected() == [2, 3]
    assert "2 selected" in window.guide
    window.key("B")
    drag(window, [(1, 1), (30, 18)])
    assert window.selected() == [1]
    window.key("L")
    drag(window, [(1, 42), (1, 85), (25, 85), (25, 42)], "ShiftModifier")
    assert window.selected() == [1, 3, 4]
    assert len(window.dock.objects.canvas._band.layer.data) == 0
    window.dock.objects.palette.add_named("round")
    window.key("1")
    window.settle()
    assert window.writer.store.select(category="round") == [1, 3, 4]
    window.key("Delete")
    window.settle()
    assert np.unique(window.labels()).tolist() == [0, 2]
    window.key("Z", "ControlModifier")
    window.settle()
    assert np.unique(window.labels()).tolist() == [0, 1, 2, 3, 4]
    assert window.writer.store.select(category="round") == [1, 3, 4]
    window.key("A", "ControlModifier")
    window.wait(lambda: len(window.selected()) == 4)
    window.key("Escape")
    assert window.selected() == []
    assert window.errors == []


def test_rows_of_the_table_are_selected_objects_and_the_other_way_round(selecting):
    window = selecting
    panel, docked = window.panel.objects, window.dock.objects.table
    before = window.canvas.native.height()
    panel.table.setChecked(True)
    table = docked.view
    window.wait(lambda: window.canvas.native.height() < before)  # the table takes some of its height
    window.settle()
    window.wait(lambda: table.rows.rowCount() == 4)
    table.view.selectRow(2)
    assert window.selected() == [3]
    window.click(window.layer, MIDDLE[1])
    window.wait(lambda: window.selected() == [1])
    assert [index.row() for index in table.view.selectionModel().selectedRows()] == [0]
    window.dock.objects.edits.delete()
    window.wait(lambda: table.rows.labels.tolist() == [2, 3, 4])
    docked.visit(4)
    view = window.dock.images.view
    assert view[1] < MIDDLE[4][1] < view[3]
    window.viewer.window.remove_dock_widget(table)  # as the button of its title bar does
    window.wait(lambda: docked.view is None)
    assert not panel.table.isChecked()
    assert window.errors == []


def test_what_is_drawn_in_the_plot_is_selected_and_the_other_way_round(selecting, monkeypatch):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    window = selecting
    width = window.dock.width()
    window.panel.objects.plot.click()
    plot = window.dock.objects.plot.view
    window.wait(lambda: plot.canvas is not None and plot.canvas.values is not None)
    assert plot.canvas.values.values.tolist() == [[side**2 for side in SIDES.values()]]
    assert window.dock.width() == width
    plot.plot("area_px", "perimeter_px")
    window.wait(lambda: len(plot.canvas.values.columns) == 2)
    window.wait(lambda: plot.canvas.band.height() > 50)
    window.settle()
    spots, band = plot.canvas.positions(), plot.canvas.band
    QTest.mousePress(band, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(*spots[2].astype(int) - 9))
    QTest.mouseMove(band, QPoint(*spots[3].astype(int)))
    end = QPoint(int(spots[3][0]) + 9, int(spots[2][1]) + 9)
    QTest.mouseRelease(band, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
    assert window.selected() == [3]  # the fourth lies higher
    window.click(window.layer, MIDDLE[1])
    window.wait(lambda: plot.canvas._highlight.get_data()[0].tolist() == [16])
    window.dock.objects.edits.delete()
    window.wait(lambda: plot.canvas.values.labels.tolist() == [2, 3, 4])
    monkeypatch.setattr(view_dock, "QUICK_OBJECTS", 1)  # as with many objects
    window.dock.objects.selected.set([2])
    window.dock.objects.edits.delete()
    window.wait(plot.again.isVisible)
    assert plot.canvas.values.labels.tolist() == [2, 3, 4]  # not measured after every change
    QTest.mouseClick(plot.again, Qt.MouseButton.LeftButton)
    window.wait(lambda: plot.canvas.values.labels.tolist() == [3, 4])
    assert not plot.again.isVisible()
    plot.plot("colour")
    window.wait(lambda: "colour" in plot.message.text())
    window.viewer.window.remove_dock_widget(plot)
    window.wait(lambda: not window.panel.objects.plot.isChecked())
    assert window.errors == []


def test_the_picture_of_a_plot_is_saved_and_copied(selecting, tmp_path, monkeypatch):
    from qtpy.QtWidgets import QApplication, QFileDialog

    window = selecting
    window.panel.objects.plot.click()
    plot = window.dock.objects.plot.view
    assert not plot.save.isEnabled()
    window.wait(lambda: plot.canvas is not None and plot.canvas.values is not None)
    window.settle()
    look = plot.canvas.figure.get_facecolor(), tuple(plot.canvas.figure.get_size_inches())
    asked = []
    for name, chosen, begins in (
        ("a", "PNG (*.png)", b"\x89PNG"),
        ("b.svg", "PNG (*.png)", b"<?xml"),
        ("c", "PDF (*.pdf)", b"%PDF"),
    ):
        answer = (str(tmp_path / name), chosen)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, answer=answer: asked.append(args) or answer)
        plot.save.click()
        (written,) = tmp_path.glob(f"{name}*")
        assert written.read_bytes().startswith(begins)
    assert [str(args[2]) for args in asked[1:]] == [str(tmp_path / "plot.png")] * 2  # the folder is remembered
    with Image.open(tmp_path / "a.png") as picture:
        assert round(picture.info["dpi"][0]) == 300
        assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert picture.size == (1800, 1200)  # not the flat shape of the dock
    assert (plot.canvas.figure.get_facecolor(), tuple(plot.canvas.figure.get_size_inches())) == look  # napari's
    plot.copy.click()
    copied = QApplication.clipboard().image()
    assert (copied.width(), copied.height()) == picture.size
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "a.png" / "d.png"), ""))
    plot.save.click()
    assert "the picture cannot be written" in window.errors[-1]
