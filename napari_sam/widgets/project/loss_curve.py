"""The curve of a training loss, drawn while it trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent

_HEIGHT_PX, _MARGIN_PX = 72, 4
_SMOOTHING = 0.9  # share of the earlier mean in each value of the smooth curve
_LINE = QColor("#2dd4bf")


class LossCurve(QWidget):
    """Loss of each step, faint, and its running mean.

    Attributes
    ----------
    losses : list of (int, float)
        Steps and losses so far.
    steps : int
        Number of steps of the whole training, the width of the curve.
    """

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[tuple[int, float]] = []
        self.steps = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Training loss by step (lower is better), and its running mean")
        self.setAccessibleName("Curve of the training loss")

    def clear(self) -> None:
        """Begin a new curve."""
        self.losses.clear()
        self.update()

    def add(self, step: int, loss: float) -> None:
        """Add a step; a value that is not finite is left out."""
        if math.isfinite(loss):
            self.losses.append((step, loss))
            self.update()

    def set_steps(self, steps: int) -> None:
        """Set the number of steps of the whole training."""
        if steps != self.steps:
            self.steps = max(1, steps)
            self.update()

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(200, _HEIGHT_PX)

    def minimumSizeHint(self) -> QSize:
        """Return a size that fits a narrow dock."""
        return QSize(80, _HEIGHT_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw both curves, from zero to the largest loss, with the latest mean as a number."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(self.foregroundRole())
        faint = QColor(text)
        faint.setAlpha(28)
        painter.fillRect(self.rect(), faint)
        if self.losses:
            values = [loss for _, loss in self.losses]
            means = running_means(values)
            top = max(values) or 1.0
            faint.setAlpha(110)
            for curve, pen in ((values, QPen(faint, 1)), (means, QPen(_LINE, 2))):
                painter.setPen(pen)
                painter.drawPolyline(QPolygonF([self._point(i, value / top) for i, value in enumerate(curve)]))
            painter.setPen(text)
            margin = self.rect().adjusted(_MARGIN_PX, _MARGIN_PX, -_MARGIN_PX, -_MARGIN_PX)
            painter.drawText(margin, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop, f"loss {means[-1]:.3f}")
        painter.end()

    def _point(self, index: int, share: float) -> QPointF:
        width, height = self.width() - 2 * _MARGIN_PX, self.height() - 2 * _MARGIN_PX
        x = _MARGIN_PX + width * self.losses[index][0] / self.steps
        return QPointF(x, _MARGIN_PX + height * (1 - share))


def running_means(values: Sequence[float]) -> list[float]:
    """Return the running mean of each value and those before it, without a bias to the first one.

    >>> [round(mean, 2) for mean in running_means([1.0, 1.0, 4.0])]
    [1.0, 1.0, 2.11]
    """
    means, total, weight = [], 0.0, 0.0
    for value in values:
        total = _SMOOTHING * total + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        means.append(total / weight)
    return means
