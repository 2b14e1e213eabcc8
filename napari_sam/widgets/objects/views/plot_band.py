"""The range, rectangle or lasso that the user draws over a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_sam.layers.objects.selection_band import LASSO, RECTANGLE
from napari_sam.layers.objects.selection_outline import SELECTED
from napari_sam.widgets.objects.selected_objects import combine_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtGui import QMouseEvent, QPaintEvent

RANGE = "range"
_LEAST_MOVE_PX = 4  # a hand that clicks moves less
_OPACITY = 40


class PlotBand(QWidget):
    """Transparent widget over a plot, which takes the mouse.

    Attributes
    ----------
    tool : {"range", "rectangle", "lasso"}
        What is drawn; a range has the whole height of the plot.

    Signals
    -------
    drawn : (ndarray, Combine)
        Corners (n, 2) of what the user drew, as (x, y) in pixels of this widget, and how it changes the selection.
    clicked : ((float, float), Combine)
        The user clicked at (x, y).
    double_clicked : (float, float)
        The user clicked twice at (x, y).
    """

    drawn = Signal(object, object)
    clicked = Signal(object, object)
    double_clicked = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.tool = RANGE
        self._path: list[tuple[float, float]] = []
        self.setCursor(Qt.CursorShape.CrossCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to draw."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._path = [(event.position().x(), event.position().y())]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Draw up to the mouse."""
        if self._path:
            self._path.append((event.position().x(), event.position().y()))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Tell what was drawn."""
        if not self._path or event.button() != Qt.MouseButton.LeftButton:
            return
        self.mouseMoveEvent(event)
        path, corners = np.array(self._path), self._corners()
        self._path = []
        self.update()
        how = combine_keys(event.modifiers())
        if np.ptp(path, axis=0).max() < _LEAST_MOVE_PX:
            self.clicked.emit((float(path[0, 0]), float(path[0, 1])), how)
        else:
            self.drawn.emit(corners, how)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Tell where; the release that follows is no second click."""
        self._path = []
        self.double_clicked.emit((event.position().x(), event.position().y()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the band."""
        if self._path:
            painter = QPainter(self)
            colour = QColor(SELECTED)
            painter.setPen(QPen(colour, 1))
            colour.setAlpha(_OPACITY)
            painter.setBrush(colour)
            painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in self._corners()]))
            painter.end()

    def _corners(self) -> NDArray[np.float64]:
        if self.tool == LASSO:
            return np.array(self._path)
        (x0, y0), (x1, y1) = self._path[0], self._path[-1]
        if self.tool != RECTANGLE:
            y0, y1 = -1, self.height() + 1
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
