"""The dock is shown before torch is loaded, which the engine's thread does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_sam.widgets import device_selection
from napari_sam.widgets.dock import SamDock
from napari_sam.widgets.dock_memory import DockMemory
from napari_sam.widgets.engine_thread import EngineThread
from tests.widgets.conftest import RecordingNotifier
from tests.widgets.test_dock_parts import FakeSession

OPEN = """
import sys, threading
import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from napari_sam import LabelStore
from napari_sam.layers.store_places import store_place

importers = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            importers.append(threading.current_thread() is threading.main_thread())
sys.meta_path.insert(0, Watch())

app = QApplication([])
viewer = ViewerModel()
layer = viewer.add_image(np.zeros((64, 64), np.uint8), name="cells")
LabelStore.create(store_place(layer).path, shape=(64, 64)).close()
from napari_sam.widgets.dock import SamDock
dock = SamDock(viewer)
for page in range(dock.panel.tabs.count()):
    dock.panel.tabs.setCurrentIndex(page)
assert dock.labels.store_layers is not None
print("shown", "torch" in sys.modules)
while dock.session.predictor is None or dock.thread.busy:
    app.processEvents()
print("imported in the GUI thread", importers)
dock.shutdown()
"""


@pytest.fixture
def opened(qtbot, monkeypatch, tmp_path):
    """A function that opens the dock on a machine with some devices."""
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    docks = []

    def open_dock(*devices):
        monkeypatch.setattr(device_selection, "_find_devices", lambda: ["auto", "cpu", *devices])
        docks.append(SamDock(ViewerModel(), session=FakeSession(), notifier=RecordingNotifier()))
        qtbot.addWidget(docks[-1])
        docks[-1].show()
        return docks[-1]

    yield open_dock
    for dock in docks:
        dock.shutdown()


def test_all_pages_are_shown_before_torch_is_imported_by_the_engines_thread(tmp_path):
    environ = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "NAPARI_SAM_DATA": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", OPEN], capture_output=True, text=True, env=environ, timeout=140)
    assert "shown False" in done.stdout, done.stderr
    assert "imported in the GUI thread [False]" in done.stdout, done.stderr


def test_a_job_waits_until_the_event_loop_runs(qtbot):
    thread, ran = EngineThread(), threading.Event()
    thread.submit("load", lambda _: ran.set())
    assert not ran.wait(0.2)
    qtbot.waitUntil(ran.is_set)
    thread.close()


def test_a_thread_that_is_closed_before_the_event_loop_runs_ends():
    thread = EngineThread()
    thread.submit("load", lambda _: None)
    thread.close()
    thread._pool.shutdown(wait=True)


def test_devices_are_offered_once_they_are_known(opened, qtbot):
    dock = opened("cuda:0")
    assert not dock.panel.device.isVisible()
    qtbot.waitUntil(dock.panel.device.isVisible)
    assert [dock.panel.device.itemData(i) for i in range(3)] == ["auto", "cpu", "cuda:0"]


def test_without_an_accelerator_there_is_no_choice_of_devices(opened, qtbot):
    dock = opened()
    qtbot.waitUntil(lambda: not dock.thread.busy)
    QApplication.processEvents()
    assert not dock.panel.device.isVisible()


def test_the_device_of_the_last_session_is_used_at_once(opened, qtbot, tmp_path):
    memory = DockMemory.load()
    memory.device = "cuda:1"
    memory.save()
    dock = opened("cuda:0", "cuda:1")
    assert dock.session.device == "cuda:1"
    qtbot.waitUntil(dock.panel.device.isVisible)
    assert (dock.session.device, dock.panel.device.currentText()) == ("cuda:1", "cuda:1")


def test_a_device_that_is_gone_is_replaced(opened, qtbot):
    memory = DockMemory.load()
    memory.device = "cuda:1"
    memory.save()
    dock = opened("cuda:0")
    qtbot.waitUntil(lambda: dock.session.device == "auto")
    assert dock.panel.device.findData("cuda:1") < 0


def test_devices_are_found_although_another_model_is_chosen_at_once(opened, qtbot):
    dock = opened("cuda:0")
    dock.use_model("vit_b")
    qtbot.waitUntil(dock.panel.device.isVisible)
