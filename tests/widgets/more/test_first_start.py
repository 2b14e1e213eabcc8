"""The first start: what was found is told once, models are offered, nothing is downloaded."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
import torch
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam.widgets.dock import SamDock
from napari_sam.widgets.more.models_dialog import ModelsDialog
from src_models.checkpoints.model_advice import ADVICE
from tests.widgets.conftest import RecordingNotifier
from tests.widgets.test_dock_parts import FakeSession

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def opened(qtbot, monkeypatch, tmp_path):
    """A function that opens the dock as a new start of napari does; a download fails the test."""
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the dock asked the network"))
    docks = []

    def open_dock():
        engine = SimpleNamespace(unfinished=lambda path: None)
        docks.append(SamDock(ViewerModel(), session=FakeSession(), engine=engine, notifier=RecordingNotifier()))
        qtbot.addWidget(docks[-1])
        docks[-1].show()
        return docks[-1]

    yield open_dock
    for dock in docks:
        dock.shutdown()
    assert not (tmp_path / "cache").exists()


def test_what_was_found_is_told_once_and_found_again_in_the_menu(opened, qtbot):
    dock = opened()
    line = dock.panel.first_start
    qtbot.waitUntil(line.isVisible, timeout=60_000)
    assert "processor cores" in line.label.text()
    QTest.mouseClick(line.dismiss, LEFT)
    assert not line.isVisible()
    dock.shutdown()
    again = opened()
    qtbot.wait(50)
    assert not again.panel.first_start.isVisible()
    (action,) = [action for action in again.more.menu.actions() if "models" in action.text()]
    action.trigger()
    qtbot.waitUntil(lambda: again.first_start.dialog is not None, timeout=60_000)
    assert "processor cores" in again.first_start.dialog.found.text()
    QTest.mouseClick(again.first_start.dialog.close_button, LEFT)
    qtbot.waitUntil(lambda: again.first_start.dialog is None, timeout=60_000)


def test_models_have_size_licence_and_reason_and_are_used_on_request_only(opened, qtbot):
    dock = opened()
    qtbot.waitUntil(dock.panel.first_start.isVisible, timeout=60_000)
    QTest.mouseClick(dock.panel.first_start.models, LEFT)
    dialog = dock.first_start.dialog
    assert isinstance(dialog, ModelsDialog)
    assert not dialog.use.isEnabled()
    row = next(index for index, (_, model) in enumerate(dialog.rows) if model == "vit_b")
    texts = [dialog.table.item(row, column).text() for column in range(dialog.table.columnCount())]
    assert texts[1:4] == ["vit_b", "375 MB", "Apache-2.0"]
    fields = next(advice for advice in ADVICE if "vit_b" in advice.models)  # the first that names it
    assert f"mean IoU {fields.click:.3f} from a click" in texts[4]
    assert dock.session.model == "default"
    item = dialog.table.visualItemRect(dialog.table.item(row, 0)).center()
    QTest.mouseClick(dialog.table.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, item)
    assert dialog.use.text() == "Download and use this model"
    wanted = []
    dock.first_start.model_wanted.disconnect(dock.use_model)
    dock.first_start.model_wanted.connect(wanted.append)
    QTest.mouseClick(dialog.use, LEFT)
    assert wanted == ["vit_b"]


def test_cuda_is_started_in_the_engines_thread(opened, qtbot, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    card = SimpleNamespace(name="NVIDIA H200", total_memory=139 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    dock = opened()
    qtbot.waitUntil(dock.panel.first_start.isVisible, timeout=60_000)
    assert "NVIDIA H200 (139 GiB)" in dock.panel.first_start.label.text()
