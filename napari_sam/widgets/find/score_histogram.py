"""A histogram of scores with a line that the user drags: the least score of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sam.layers.find.found_layer import BY_SCORE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QWheelEvent

_BINS, _HEIGHT, _STEP = 40, 72, 0.01
_FAINT = 90  # opacity of the bars below the threshold, of 255


class ScoreHistogram(QWidget):
    """Bars of the number of candidates by score, and the threshold.

    Signals
    -------
    threshold_changed : float
        The user moved the line.
    """

    threshold_changed = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._counts = np.zeros(_BINS, np.int64)
        self.threshold = 0.5
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName("Least score of what counts as found")
        self.setToolTip(
            "Candidates by score: drag the line, or move it by arrow keys, to the score from which they count as found"
        )

    def show_scores(self, scores: NDArray[np.floating]) -> None:
        """Show the scores (n,) of all candidates."""
        self._counts = np.histogram(scores, bins=_BINS, range=(0, 1))[0]
        self.update()

    def show_threshold(self, threshold: float) -> None:
        """Move the line without a signal."""
        self.threshold = threshold
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size that is wide enough for all bars."""
        return QSize(2 * _BINS, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return the least size."""
        return self.sizeHint()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Move the line to the mouse."""
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move the line with the mouse; its button is held."""
        if event is not None:
            self._move(event.position().x() / max(1, self.width() - 1))

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Move the line by a small step."""
        if event is not None:
            self._move(self.threshold + _STEP * np.sign(event.angleDelta().y()))
            event.accept()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the line by a small step with the arrow keys, to the ends with Home and End."""
        if event is None:
            return
        left, right, up, down = Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down
        moved = {left: -_STEP, down: -_STEP, right: _STEP, up: _STEP, Qt.Key.Key_Home: -1.0, Qt.Key.Key_End: 1.0}
        if event.key() in moved:
            self._move(self.threshold + moved[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars and line; heights are square roots, so that few candidates among many can be seen."""
        painter = QPainter(self)
        height, width = self.height(), self.width()
        painter.fillRect(self.rect(), QColor(0, 0, 0, 60))
        heights = np.sqrt(self._counts / max(1, int(self._counts.max(initial=0))))
        for index, share in enumerate(heights.tolist()):
            left, right = (round(width * (index + i) / _BINS) for i in (0, 1))
            middle = (index + 0.5) / _BINS
            red, green, blue = (BY_SCORE[min(int(middle * len(BY_SCORE)), len(BY_SCORE) - 1), :3] * 255).astype(int)
            opacity = 255 if middle >= self.threshold else _FAINT
            bar = round(share * (height - 4))
            painter.fillRect(left, height - bar, right - left - 1, bar, QColor(red, green, blue, opacity))
        x = round(self.threshold * (width - 1))
        painter.setPen(QPen(QColor("white"), 2))
        painter.drawLine(x, 0, x, height)
        painter.end()

    def _move(self, share: float) -> None:
        self.threshold = float(np.clip(share, 0, 1))
        self.update()
        self.threshold_changed.emit(self.threshold)
