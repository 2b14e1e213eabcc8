"""A real napari window with the SAM dock, and a hand on mouse and keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import napari
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sam.widgets.dock import SamDock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari.layers import Layer
    from numpy.typing import NDArray

_LIMIT_S = 300
SIZE = (1300, 960)
"""Width and height of the window in pixels."""


class ShotWindow:
    """A viewer with the SAM dock.

    Parameters
    ----------
    size : (int, int)
        Width and height of the window.
    has_dock : bool
        Whether the dock is opened.
    viewer : napari.Viewer, optional
        A viewer that is open.
    dock : SamDock, optional
        The dock that is open in it.
    """

    def __init__(
        self,
        size: tuple[int, int] = SIZE,
        *,
        has_dock: bool = True,
        viewer: napari.Viewer | None = None,
        dock: SamDock | None = None,
    ) -> None:
        self.viewer = viewer or napari.Viewer()
        self.viewer.window.resize(*size)
        self.dock = dock
        if has_dock and dock is None:
            self.dock = SamDock(self.viewer)
            self.viewer.window.add_dock_widget(self.dock, name="SAM", area="right")
        self.canvas = self.viewer.window._qt_viewer.canvas
        self.pause()

    def pause(self, seconds: float = 0.4) -> None:
        """Handle events for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.005)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Handle events until something holds.

        Raises
        ------
        TimeoutError
            If it does not hold after five minutes.
        """
        end = time.monotonic() + _LIMIT_S
        while not condition():
            self.pause(0.02)
            if time.monotonic() > end:
                raise TimeoutError(f"the window did not get ready within {_LIMIT_S} s")

    def settle(self) -> None:
        """Wait until the engine has nothing to do."""
        self.pause()
        self.wait(lambda: self.dock is None or not self.dock.thread.busy)
        self.pause()

    def show(self, pixels: NDArray, **about: object) -> Layer:
        """Open an image, and wait until the dock is ready."""
        layer = self.viewer.add_image(pixels, **about)
        self.settle()
        return layer

    def point_on_canvas(self, layer: Layer, yx: tuple[float, float]) -> QPoint:
        """Return the canvas position of a pixel."""
        world = layer.data_to_world(yx)[-2:]
        transform = self.canvas.view.scene.node_transform(self.canvas._scene_canvas.scene)
        x, y, _, w = transform.map([world[1], world[0], 0, 1])
        return QPoint(round(x / w), round(y / w))

    def click(self, layer: Layer, yx: tuple[float, float]) -> None:
        """Click a pixel."""
        spot = self.point_on_canvas(layer, yx)
        QTest.mouseMove(self.canvas.native, spot)
        self.pause(0.1)
        QTest.mouseClick(self.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
        self.pause(0.1)

    def drag(self, layer: Layer, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """Drag from one pixel to another."""
        a, b = self.point_on_canvas(layer, start), self.point_on_canvas(layer, stop)
        native, left, plain = self.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mouseMove(native, a)
        QTest.mousePress(native, left, plain, a)
        for spot in ((a + b) / 2, b, b):
            self.pause(0.05)
            QTest.mouseMove(native, spot)
        QTest.mouseRelease(native, left, plain, b)
        self.pause(0.1)

    def key(self, name: str) -> None:
        """Press a key on the canvas."""
        QTest.keyClick(self.canvas.native, getattr(Qt.Key, f"Key_{name}"))
        self.pause(0.1)

    def predict(self, layer: Layer, yx: tuple[float, float]) -> None:
        """Click an object, and wait for its mask."""
        self.dock.click.answer = None
        self.click(layer, yx)
        self.wait(lambda: self.dock.click.answer is not None)
        self.settle()

    def open_page(self, page: int) -> None:
        """Open a page of the dock."""
        self.dock.panel.tabs.setCurrentIndex(page)
        self.settle()

    def run(self, controls: object, is_running: Callable[[], bool]) -> None:
        """Press the button of a run, and wait for its end."""
        controls.start.click()
        self.pause()
        self.wait(lambda: not is_running())
        self.settle()

    def save(self, path: Path) -> None:
        """Write a screenshot of the whole window."""
        self.pause(1)
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)

    def close(self) -> None:
        """Close the window."""
        if self.dock is not None:
            self.dock.shutdown()
            self.wait(lambda: not self.dock.thread.busy)
        self.viewer.close()
        self.pause()
