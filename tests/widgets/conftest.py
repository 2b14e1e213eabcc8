"""A real napari window, driven by real mouse and key events."""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import pytest

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    collect_ignore_glob = ["test_*"]


class Window:
    """A viewer with the SAM dock, and a hand on the mouse."""

    def __init__(self, viewer, qtbot):
        from napari_sam.widgets.dock import PromptWidget

        self.viewer, self.qtbot = viewer, qtbot
        viewer.window.resize(1300, 850)
        self.widget = PromptWidget(viewer)
        viewer.window.add_dock_widget(self.widget, name="SAM", area="right")
        self.canvas = viewer.window._qt_viewer.canvas

    def wait(self, condition, timeout=60_000):
        self.qtbot.waitUntil(condition, timeout=timeout)

    def settle(self, milliseconds=150):
        self.qtbot.wait(milliseconds)
        self.wait(lambda: not self.widget.thread.busy)
        self.qtbot.wait(50)

    def show(self, data, **kwargs):
        """Open an image as a user would, and wait until the dock is ready."""
        layer = self.viewer.add_image(data, **kwargs)
        self.qtbot.wait(300)  # the canvas must have drawn once before it can be clicked
        self.settle()
        return layer

    def at(self, layer, yx):
        """Canvas position of a data coordinate."""
        from qtpy.QtCore import QPoint

        world = layer.data_to_world(yx)[-2:]
        transform = self.canvas.view.scene.node_transform(self.canvas._scene_canvas.scene)
        x, y, _, w = transform.map([world[1], world[0], 0, 1])
        return QPoint(round(x / w), round(y / w))

    def click(self, layer, yx):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        spot = self.at(layer, yx)
        QTest.mouseMove(self.canvas.native, spot)
        self.qtbot.wait(30)
        QTest.mouseClick(self.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)

    def drag(self, layer, start, stop):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        a, b = self.at(layer, start), self.at(layer, stop)
        native, left, no = self.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mouseMove(native, a)
        QTest.mousePress(native, left, no, a)
        for spot in ((a + b) / 2, b, b):
            self.qtbot.wait(30)
            QTest.mouseMove(native, spot)
        QTest.mouseRelease(native, left, no, b)

    def key(self, name, modifier="NoModifier"):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        modifiers = Qt.KeyboardModifier.NoModifier
        for part in modifier.split("+"):
            modifiers |= getattr(Qt.KeyboardModifier, part)
        QTest.keyClick(self.canvas.native, getattr(Qt.Key, f"Key_{name}"), modifiers)
        self.qtbot.wait(50)

    def ask(self, act):
        """Do something that changes the prompts, and wait for the answer to it."""
        self.widget.answer = None
        act()
        self.wait(lambda: self.widget.answer is not None)
        self.settle(20)
        return self.widget.answer

    def labels(self):
        return np.asarray(self.widget.writer.layer.data)


@pytest.fixture
def window(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    """A window; errors shown to the user are collected in `window.errors`."""
    from napari_sam.widgets import dock as prompt_widget

    errors = []
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(prompt_widget, "show_error", errors.append)
    monkeypatch.setattr(prompt_widget, "show_info", errors.append)
    made = Window(make_napari_viewer(show=True), qtbot)
    made.errors = errors
    yield made
    made.widget.shutdown()
    limit = time.monotonic() + 30
    while made.widget.thread.busy and time.monotonic() < limit:
        qtbot.wait(20)


@pytest.fixture(autouse=True)
def one_model(monkeypatch, default_predictor):
    """Load the shipped weights once for all windows."""
    from napari_sam.engine.interactive.window_predictor import WindowPredictor
    from napari_sam.widgets import engine_session as session

    class Shared(WindowPredictor):
        def __init__(self, model, cache=None):
            if model == "default":
                self.__dict__.update(default_predictor.__dict__, cache=cache, _image=None)
            else:
                super().__init__(model, cache=cache)

    monkeypatch.setattr(session, "WindowPredictor", Shared)
