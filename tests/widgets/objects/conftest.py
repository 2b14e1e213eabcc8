"""The page "Objects" over a viewer without a window, and objects to select."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.widgets.dock import SamDock
from napari_sam.widgets.dock_panel import OBJECTS
from tests.widgets.conftest import RecordingNotifier
from tests.widgets.test_dock_parts import FakeSession

SIDES = {1: 4, 2: 6, 3: 8, 4: 10}
"""Side of each object, which is a square."""


def paint_objects(store):
    """Paint four squares into a store, in a row from (5, 5) on, 20 pixels apart."""
    pixels = np.zeros((40, 90), np.uint32)
    for label, side in SIDES.items():
        x = 5 + 20 * (label - 1)
        pixels[5 : 5 + side, x : x + side] = label
    store.paint(pixels, (0, 0))


class ObjectsPage:
    """The page, and what the user sees of it."""

    def __init__(self, dock, qtbot, notifier):
        self.dock, self.qtbot, self.messages = dock, qtbot, notifier.messages
        self.page, self.panel = dock.objects, dock.panel.objects

    def settle(self):
        for _ in range(2):  # the answer to a query may begin a change
            self.qtbot.wait(30)
            self.qtbot.waitUntil(lambda: not self.dock.thread.busy and not self.page.jobs.is_busy, timeout=60_000)
        self.qtbot.wait(30)

    def do(self, action, *arguments):
        action(*arguments)
        self.settle()

    @property
    def selected(self):
        return self.page.selected.ordered

    @property
    def store(self):
        return self.dock.labels.store_layers.store

    @property
    def layer(self):
        return self.dock.labels.store_layers.edit


@pytest.fixture
def notifier():
    return RecordingNotifier()


@pytest.fixture
def dock(qtbot, notifier, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    engine = SimpleNamespace(unfinished=lambda path: None)
    made = SamDock(ViewerModel(), session=FakeSession(), engine=engine, notifier=notifier)
    qtbot.addWidget(made)
    yield made
    made.shutdown()
    qtbot.waitUntil(lambda: not made.thread.busy, timeout=60_000)


@pytest.fixture
def objects(dock, qtbot, notifier):
    """The page with four objects, none selected."""
    dock.viewer.add_image(np.zeros((40, 90)), name="cells")
    qtbot.waitUntil(lambda: dock.images.layer is not None, timeout=60_000)
    paint_objects(dock.labels.ready_store().store)
    made = ObjectsPage(dock, qtbot, notifier)
    dock.panel.tabs.setCurrentIndex(OBJECTS)
    made.settle()
    return made
