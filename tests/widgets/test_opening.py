"""File → Open: napari's dialog offers our reader for a file, and our reader then reads it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog

from tests.widgets.conftest import menu_actions

OURS = "SAM for huge images"


def choose_our_reader():
    """Press the buttons of napari's reader dialog, once it is open."""
    dialog = QApplication.activeModalWidget()
    if dialog is None or dialog.objectName() != "Choose reader":
        QTimer.singleShot(50, choose_our_reader)
        return
    (choice,) = [b for b in dialog.reader_btn_group.buttons() if b.text() == OURS]
    choice.click()
    dialog.persist_checkbox.setChecked(False)
    dialog.btn_box.button(QDialogButtonBox.StandardButton.Ok).click()


@pytest.fixture
def pictures(tmp_path, rng):
    """Small files of the kinds that our reader claims."""
    pixels = rng.integers(0, 255, (40, 50), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "grey.tif", pixels)
    tifffile.imwrite(tmp_path / "rgb.tiff", np.stack([pixels] * 3, -1), photometric="rgb")
    zarr.save_array(str(tmp_path / "plain.zarr"), pixels)
    return tmp_path


@pytest.mark.parametrize("name", ["grey.tif", "rgb.tiff"])
def test_a_small_tiff_opens_from_the_menu(make_napari_viewer, monkeypatch, pictures, name):
    viewer = make_napari_viewer(show=True)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_, **__: ([str(pictures / name)], ""))
    QTimer.singleShot(50, choose_our_reader)
    actions = menu_actions(viewer.window.file_menu)
    actions["Open File(s)..."].trigger()
    (layer,) = viewer.layers
    assert (layer.name, layer.source.reader_plugin) == (name.split(".")[0], "napari-sam-xl")


def test_a_small_zarr_opens_from_the_menu(make_napari_viewer, monkeypatch, pictures):
    viewer = make_napari_viewer(show=True)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(pictures / "plain.zarr"))
    QTimer.singleShot(50, choose_our_reader)
    actions = menu_actions(viewer.window.file_menu)
    actions["Open Folder..."].trigger()
    (layer,) = viewer.layers
    assert (layer.name, layer.source.reader_plugin) == ("plain", "napari-sam-xl")
