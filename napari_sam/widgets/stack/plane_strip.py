"""A strip with one bar per plane: where an object exists, and how sure each plane is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtCore import QEvent
    from qtpy.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QWheelEvent

_HEIGHT, _MARKER_PX, _LEAST_BAR = 42, 7, 0.18
_GAP_FROM_PX = 4.0  # cells at least this wide are drawn with a gap between them
_SURE, _UNSURE = 0.8, 0.5  # scores from which a bar is green, and below which it is red
_GOOD, _FAIR, _POOR = QColor("#0ea5a0"), QColor("#d9930a"), QColor("#e5484d")  # the height differs as well
_WHEEL_STEP = 120


@dataclass(frozen=True)
class StripContent:
    """What a strip shows.

    Attributes
    ----------
    count : int
        Number of planes of the image along the axis.
    scores : mapping of int to float
        Score of each plane on which the object exists, in [0, 1].
    prompted : frozenset of int
        Planes with prompts.
    weakest : int or None
        Plane with the lowest score.
    noun : str
        What a plane is called: "plane" or "frame".
    notes : mapping of int to str
        What else is known of planes: why the object is missing, or that it has several parts.
    """

    count: int = 0
    scores: Mapping[int, float] = field(default_factory=dict)
    prompted: frozenset[int] = frozenset()
    weakest: int | None = None
    noun: str = "plane"
    notes: Mapping[int, str] = field(default_factory=dict)

    def text(self, plane: int) -> str:
        """Return what is known of a plane.

        >>> StripContent(9, {3: 0.625}, frozenset({3}), 3).text(3)
        'plane 3: score 0.62, with your clicks, the weakest'
        >>> StripContent(9, noun="frame").text(4)
        'frame 4: no object'
        """
        if plane not in self.scores:
            return f"{self.noun} {plane}: {self.notes.get(plane, 'no object')}"
        notes = [f"score {self.scores[plane]:.2f}"]
        if plane in self.prompted:
            notes.append("with your clicks")
        if plane == self.weakest:
            notes.append("the weakest")
        if plane in self.notes:
            notes.append(self.notes[plane])
        return f"{self.noun} {plane}: {', '.join(notes)}"


class PlaneStrip(QWidget):
    """Bars of the planes of an object; a click goes to a plane, wheel and arrow keys move by one.

    Signals
    -------
    plane_chosen : int
        The user wants to see this plane.
    """

    plane_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.content = StripContent()
        self.current = 0
        self._wheel = 0
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)  # a crowded dock must not squeeze it
        self.setAccessibleName("Planes of the object")

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(200, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return a size that fits a narrow dock."""
        return QSize(80, _HEIGHT)

    def show_content(self, content: StripContent) -> None:
        """Show the planes of an object."""
        if content != self.content:
            self.content = content
            self.update()

    def set_current(self, plane: int) -> None:
        """Mark the plane that the viewer shows."""
        if plane != self.current:
            self.current = plane
            self.update()

    def plane_at(self, x: float) -> int:
        """Return the plane under a horizontal position of the widget."""
        count = max(1, self.content.count)
        return max(0, min(count - 1, int(x * count / max(1, self.width()))))

    def position_of(self, plane: int) -> float:
        """Return the horizontal position of the middle of a plane."""
        return (plane + 0.5) * float(self.width()) / max(1, self.content.count)

    # ---- the mouse ------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the plane under the mouse."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._choose(self.plane_at(event.pos().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Describe the plane under the mouse; with the button held, go there."""
        plane = self.plane_at(event.pos().x())
        if self.content.count:
            QToolTip.showText(event.globalPos(), self.content.text(plane), self)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._choose(plane)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Go to the next or previous plane."""
        self._wheel += event.angleDelta().y() or event.angleDelta().x()
        steps = int(self._wheel / _WHEEL_STEP)
        self._wheel -= steps * _WHEEL_STEP
        if steps:
            self._choose(max(0, min(self.content.count - 1, self.current - steps)))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go to the plane before or behind, to the first or to the last."""
        last = max(0, self.content.count - 1)
        planes = {
            Qt.Key.Key_Left: max(0, self.current - 1),
            Qt.Key.Key_Right: min(last, self.current + 1),
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }
        if event.key() in planes:
            self._choose(planes[event.key()])
        else:
            super().keyPressEvent(event)

    def _choose(self, plane: int) -> None:
        if self.content.count and plane != self.current:
            self.plane_chosen.emit(plane)

    # ---- painting -------------------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        """Paint again in another theme."""
        super().changeEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars, and a marker on the plane that is shown."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(self.foregroundRole())
        floor = self.height() - 2 * _MARKER_PX
        self._draw_floor(painter, text, floor)
        for left, right, score, plane in self._bars():
            self._draw_bar(painter, QRectF(left, 0.0, right - left, floor), score, plane in self.content.prompted, text)
        self._draw_marker(painter, text, floor)
        painter.end()

    def _draw_floor(self, painter: QPainter, text: QColor, floor: float) -> None:
        """Draw the background of all planes, so that a plane without the object can be seen and clicked."""
        faint = QColor(text)
        faint.setAlpha(28)
        painter.fillRect(QRectF(0.0, 0.0, self.width(), floor), faint)
        faint.setAlpha(110)
        painter.fillRect(QRectF(0.0, floor, self.width(), 1.0), faint)

    def _bars(self) -> list[tuple[float, float, float, int]]:
        """Return left, right, score and plane of each bar: the weakest plane of a pixel column, if there are many."""
        count, width = self.content.count, self.width()
        if not count or not width:
            return []
        step = width / count
        weakest: dict[int, int] = {}  # plane per pixel column, or per plane where those are wider
        scores = self.content.scores
        for plane in scores:
            if 0 <= plane < count:
                column = plane if step >= 1 else int(plane * step)
                if column not in weakest or scores[plane] < scores[weakest[column]]:
                    weakest[column] = plane
        size = max(1.0, step)
        gap = 1.0 if size >= _GAP_FROM_PX else 0.0
        return [(c * size, (c + 1) * size - gap, scores[plane], plane) for c, plane in weakest.items()]

    def _draw_bar(self, painter: QPainter, cell: QRectF, score: float, prompted: bool, text: QColor) -> None:
        height = cell.height() * (_LEAST_BAR + (1 - _LEAST_BAR) * min(1.0, max(0.0, score)))
        colour = _GOOD if score >= _SURE else _FAIR if score >= _UNSURE else _POOR
        painter.fillRect(QRectF(cell.left(), cell.bottom() - height, cell.width(), height), colour)
        if prompted:
            radius = min(3.0, max(1.5, cell.width() / 2))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(text)
            painter.drawEllipse(QPointF(cell.center().x(), cell.bottom() - radius - 1), radius, radius)

    def _draw_marker(self, painter: QPainter, text: QColor, floor: float) -> None:
        if not self.content.count:
            return
        x, size = self.position_of(self.current), float(_MARKER_PX)
        tip = QPolygonF(
            [QPointF(x, floor + 2), QPointF(x - size, floor + 2 + size), QPointF(x + size, floor + 2 + size)]
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(text)
        painter.drawPolygon(tip)
        painter.fillRect(QRectF(x - 0.5, 0.0, 1.0, floor), text)
