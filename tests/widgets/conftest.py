"""A real napari window, driven by real mouse and key events."""

from __future__ import annotations

import gc
import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import napari_sam.predictor  # noqa: F401 - imports torch, which the first dock of a session would wait for

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    collect_ignore_glob = ["test_*", "pages/test_*"]


@pytest.fixture(scope="session", autouse=True)
def young_garbage():
    """Let napari collect the young garbage only when a layer goes, as its own fixture does between two windows.

    It looks at all objects of the process else, which takes a second of most tests once all modules are loaded.
    """
    from napari._vispy import canvas

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "gc", SimpleNamespace(collect=lambda: gc.collect(1)))
        yield


class RecordingNotifier:
    """Collects the messages that the user would see."""

    def __init__(self):
        self.messages = []

    def error(self, message):
        self.messages.append(message)

    def info(self, message):
        self.messages.append(message)


class Window:
    """A viewer with the SAM dock, and a hand on the mouse."""

    def __init__(self, viewer, qtbot, dock, notifier):
        self.viewer, self.qtbot, self.dock = viewer, qtbot, dock
        self.errors = notifier.messages
        viewer.window.resize(1300, 850)
        viewer.window._qt_window.statusBar().setFixedHeight(30)  # its first text would take a pixel from the canvas
        if dock.parent() is None:
            viewer.window.add_dock_widget(dock, name="SAM", area="right")
        self.canvas = viewer.window._qt_viewer.canvas

    def wait(self, condition, timeout=60_000):
        self.qtbot.waitUntil(condition, timeout=timeout)

    def settle(self, milliseconds=150):
        self.qtbot.wait(milliseconds)
        self.wait(lambda: not self.dock.thread.busy)
        self.qtbot.wait(50)

    def show(self, data, **kwargs):
        """Open an image as a user would, and wait until the dock is ready."""
        layer = self.viewer.add_image(data, **kwargs)
        self.qtbot.wait(300)  # the canvas must have drawn once before it can be clicked
        self.settle()
        return layer

    def canvas_position(self, layer, yx):
        """Return the canvas position of a data coordinate."""
        from qtpy.QtCore import QPoint

        world = layer.data_to_world(yx)[-2:]
        transform = self.canvas.view.scene.node_transform(self.canvas._scene_canvas.scene)
        x, y, _, w = transform.map([world[1], world[0], 0, 1])
        return QPoint(round(x / w), round(y / w))

    def click(self, layer, yx):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        spot = self.canvas_position(layer, yx)
        QTest.mouseMove(self.canvas.native, spot)
        self.qtbot.wait(30)
        QTest.mouseClick(self.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)

    def drag(self, layer, start, stop):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        a, b = self.canvas_position(layer, start), self.canvas_position(layer, stop)
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

    def predict(self, act):
        """Do something that changes the prompts, and wait for the answer."""
        self.dock.click.answer = None
        act()
        self.wait(lambda: self.dock.click.answer is not None)
        self.settle(20)
        return self.dock.click.answer

    @property
    def panel(self):
        return self.dock.panel

    @property
    def writer(self):
        return self.dock.labels.writer

    @property
    def guide(self):
        """The line on top of the dock."""
        return self.dock.panel.next_step.text()

    def labels(self):
        return np.asarray(self.writer.layer.data)


def menu_actions(menu):
    """Return all actions of a menu and its submenus, by text."""
    found = {}
    for action in menu.actions():
        if action.menu() is not None:
            action.menu().aboutToShow.emit()
            found |= menu_actions(action.menu())
        else:
            found[action.text().replace("&", "")] = action
    return found


def open_from_menu(viewer, qtbot, entry="SAM", kind="SamDock"):
    """Open a dock of the plugin through napari's Plugins menu, and return it."""
    from qtpy.QtWidgets import QWidget

    actions = menu_actions(viewer.window.plugins_menu)
    (text,) = [t for t in actions if t.split(" (")[0] == entry]
    actions[text].trigger()
    qtbot.wait(100)
    docks = [w for w in viewer.window._qt_window.findChildren(QWidget) if type(w).__name__ == kind]
    return docks[-1]


@pytest.fixture
def menu_window(make_napari_viewer, qtbot, session, notifier, monkeypatch):
    """A function that opens the dock through the menu, over the layers in its viewer, and returns its window."""
    from napari_sam.widgets import dock

    monkeypatch.setattr(dock, "NapariNotifier", lambda *_: notifier)
    monkeypatch.setattr(dock, "EngineSession", lambda: session)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 850)
    opened = []

    def open_window():
        opened.append(Window(viewer, qtbot, open_from_menu(viewer, qtbot), notifier))
        opened[-1].settle(300)
        return opened[-1]

    open_window.viewer = viewer
    yield open_window
    for made in opened:
        made.dock.shutdown()
        made.wait(lambda made=made: not made.dock.thread.busy, 60_000)


@pytest.fixture
def notifier():
    return RecordingNotifier()


@pytest.fixture
def session(default_predictor, monkeypatch, tmp_path):
    """An engine session that loads the shipped weights once for all windows."""
    from napari_sam.predictor import Predictor
    from napari_sam.widgets.engine_session import EngineSession

    def load(model, cache):
        if model != "default":
            return Predictor(model, cache=cache)
        shared = default_predictor.sharing()
        shared.cache = cache
        return shared

    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path / "data"))
    return EngineSession(loader=load)


@pytest.fixture
def engine():
    """The engine of the page "Everything"; tests replace it by overriding this fixture."""
    from napari_sam.widgets.pages.everything_run import JobsEngine

    return JobsEngine()


@pytest.fixture
def window(make_napari_viewer, qtbot, session, engine, notifier):
    """A window; messages to the user are collected in `window.errors`."""
    from napari_sam.widgets.dock import SamDock

    viewer = make_napari_viewer(show=True)
    made = Window(viewer, qtbot, SamDock(viewer, session=session, engine=engine, notifier=notifier), notifier)
    yield made
    made.dock.shutdown()
    limit = time.monotonic() + 30
    while made.dock.thread.busy and time.monotonic() < limit:
        qtbot.wait(20)
