"""The menu “More”: changes copied as Python run, and give the same labels."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sam.io.labels.label_store import LabelStore

A, B = (122, 182), (299, 269)


def choose(window, text):
    """Open the menu with the mouse, and choose an action with the keys; return what was copied."""
    QApplication.clipboard().clear()
    menu = window.dock.more.menu
    action = next(action for action in menu.actions() if text in action.text())

    def pick():
        menu.setActiveAction(action)
        QTest.keyClick(menu, Qt.Key.Key_Return)

    from qtpy.QtCore import QTimer

    QTimer.singleShot(300, pick)
    QTest.mouseClick(window.panel.more, Qt.MouseButton.LeftButton)
    window.settle()
    return QApplication.clipboard().text()


def run_lines(lines, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(compile(lines, "pasted", "exec"), {"__name__": "__main__"})


@pytest.fixture(params=["napari-sam-xl", "napari"])
def opened(window, nuclei, tmp_path, request):
    """A window with an image of a file, opened by our reader or by napari's own, and two accepted objects."""
    tifffile.imwrite(tmp_path / "nuclei.tif", nuclei[0])
    (window.layer,) = window.viewer.open(tmp_path / "nuclei.tif", plugin=request.param)
    window.qtbot.wait(300)
    window.settle()
    for spot in (A, B):
        window.predict(lambda spot=spot: window.click(window.layer, spot))
        window.key("C")
    return window


def test_copied_changes_run_and_give_the_same_labels(opened, tmp_path, monkeypatch):
    window, pixels = opened, opened.labels().copy()
    everything = choose(window, "all changes")
    last = choose(window, "last change")
    assert "copied" in window.errors[-1]
    window.key("Z", "ControlModifier")
    window.settle()
    path = window.dock.labels.store_path
    window.dock.shutdown()
    run_lines(last, tmp_path, monkeypatch)
    with LabelStore.open(path) as store:
        np.testing.assert_array_equal(store.array[...], pixels)
    run_lines(everything, tmp_path, monkeypatch)
    (replayed,) = tmp_path.glob("*-replayed.ome.zarr")
    with LabelStore.open(replayed) as store:
        np.testing.assert_array_equal(store.array[...], pixels)
