"""The main window around a dock: its closing, which Qt does not tell its children, and its canvas."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QMainWindow, QWidget


class WindowWatcher(QObject):
    """Watch the main window that a widget is docked in.

    Parameters
    ----------
    widget : QWidget
        The widget.

    Signals
    -------
    closing
        The main window is being closed; its widgets still exist.
    """

    closing = Signal()

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._window: QMainWindow | None = None
        self._is_asked_to_close = False

    def update(self) -> None:
        """Watch the main window that the widget is in now."""
        parent = self._widget.parentWidget()
        while parent is not None and not isinstance(parent, QMainWindow):
            parent = parent.parentWidget()
        if parent is not self._window:
            self.close()
            self._window = parent
            if parent is not None:
                parent.installEventFilter(self)

    def make_canvas_current(self, event: object = None) -> None:
        """Make the canvas's OpenGL context the current one, before its graphics objects are deleted.

        napari 0.9 deletes those of a removed layer at once, whichever context is current. In that of the window
        frame, Mesa 22.3 deletes shaders of a program that the canvas still has compiled, and the next drawing ends
        in a segmentation fault.
        """
        if self._window is not None:
            for canvas in self._window.findChildren(QOpenGLWidget):
                if canvas.isValid():
                    canvas.makeCurrent()

    def close(self) -> None:
        """Stop watching."""
        if self._window is not None:
            self._window.removeEventFilter(self)
        self._window = None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice that the window closes: it is hidden after it was asked to close, unless the user cancelled that."""
        if event is None or watched is not self._window:
            return False
        if event.type() == QEvent.Type.Close:
            self._is_asked_to_close = True
        elif event.type() == QEvent.Type.Show:
            self._is_asked_to_close = False
        elif event.type() == QEvent.Type.DeferredDelete or (
            event.type() == QEvent.Type.Hide and self._is_asked_to_close and not event.spontaneous()
        ):
            self._is_asked_to_close = False
            self.closing.emit()
        return False
