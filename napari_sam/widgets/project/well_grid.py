"""A plate as a grid of wells: how far the images of each well are; a click lists those of one well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

_LABEL_PX, _MOST_CELL_PX, _LEAST_CELL_PX = 18, 22, 6
_DONE, _BEGUN, _CHOSEN = QColor("#3f9b5c"), QColor("#b98a3a"), QColor("#5b7cfa")  # seen on light and dark
_STEPS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}
_NAME = re.compile(r"([A-Za-z]+)/?0*(\d+)")


@dataclass(frozen=True)
class Well:
    """How far the images of a well are.

    Attributes
    ----------
    images, begun, done : int
        Number of all images, of those in work, and of those that are done or checked.
    """

    images: int
    begun: int
    done: int

    @property
    def text(self) -> str:
        """The numbers, in words."""
        begun = f", {self.begun} in work" if self.begun else ""
        return f"{self.done} of {self.images} done{begun}"


def well_place(name: str) -> tuple[int, int] | None:
    """Return row and column of a well, from 0; None if its name does not tell.

    >>> well_place("B/3"), well_place("AA12"), well_place("A/01"), well_place("control")
    ((1, 2), (26, 11), (0, 0), None)
    """
    match = _NAME.fullmatch(name)
    if match is None or int(match[2]) < 1:
        return None
    row = 0
    for letter in match[1].upper():
        row = 26 * row + ord(letter) - ord("A") + 1
    return row - 1, int(match[2]) - 1


class WellGrid(QWidget):
    """The wells of one plate.

    Signals
    -------
    chosen : str
        Images of this well are to be listed; empty for all.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.wells: dict[str, Well] = {}
        self.selected = ""
        self._places: dict[tuple[int, int], str] = {}
        self._shape = (0, 0)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Wells of the plate")
        self.setToolTip("Wells of the plate: click one to list its images, again to list all. Arrow keys go on")

    def show_wells(self, wells: Mapping[str, Well]) -> None:
        """Show the wells of a plate; those whose names tell no place are left out."""
        self.wells = dict(wells)
        placed = {well_place(name): name for name in wells}
        self._places = {place: name for place, name in placed.items() if place is not None}
        rows, cols = ([0, *(place[axis] + 1 for place in self._places)] for axis in (0, 1))
        self._shape = (max(rows), max(cols))
        if self.selected not in self.wells:
            self.selected = ""
        self.updateGeometry()
        self.update()

    def choose(self, name: str) -> None:
        """List the images of a well; empty for all."""
        self.selected = name
        self.update()
        self.chosen.emit(name)

    def well_at(self, position: QPoint) -> str:
        """Return the name of the well at a position; empty if there is none."""
        cell = self._cell
        row, col = ((offset - _LABEL_PX) // cell for offset in (position.y(), position.x()))
        return self._places.get((int(row), int(col)), "")

    def rect_of(self, name: str) -> QRectF:
        """Return where a well is drawn."""
        row, col = next(place for place, other in self._places.items() if other == name)
        cell = self._cell
        return QRectF(_LABEL_PX + col * cell + 1, _LABEL_PX + row * cell + 1, cell - 2, cell - 2)

    def sizeHint(self) -> QSize:
        """Return the size of the grid at the width that it has."""
        return QSize(_LABEL_PX + self._shape[1] * _LEAST_CELL_PX, round(_LABEL_PX + self._shape[0] * self._cell) + 2)

    def minimumSizeHint(self) -> QSize:
        """Return the size of the grid with the smallest wells."""
        return self.sizeHint()

    def resizeEvent(self, event: QEvent | None) -> None:
        """Make the grid as high as wells of the new width need."""
        self.updateGeometry()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the well under the cursor, or all if it was chosen."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            name = self.well_at(event.pos())
            self.choose("" if name == self.selected else name)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go to the next well by arrow keys; Escape chooses all."""
        if event is None:
            return
        if event.key() == Qt.Key.Key_Escape and self.selected:
            self.choose("")
        elif event.key() in _STEPS and self._places:
            self._go(*_STEPS[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Show what is under the cursor as tooltip."""
        if isinstance(event, QHelpEvent):
            name = self.well_at(event.pos())
            text = f"{name}: {self.wells[name].text}" if name else self.toolTip()
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().event(event))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the wells: filled from below by the share of images that are done."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        ink, empty = palette.color(QPalette.ColorRole.WindowText), palette.color(QPalette.ColorRole.Base)
        self._draw_labels(painter, ink)
        for name in self._places.values():
            well, rect = self.wells[name], self.rect_of(name)
            painter.setPen(ink)
            painter.setBrush(_BEGUN if well.begun or well.done else empty)
            painter.drawRect(rect)
            done = rect.adjusted(0, rect.height() * (1 - well.done / max(1, well.images)), 0, 0)
            painter.fillRect(done, _DONE)
            if name == self.selected:
                pen = painter.pen()
                pen.setColor(_CHOSEN)
                pen.setWidth(3)
                painter.setPen(pen)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(rect)
        painter.end()

    def _draw_labels(self, painter: QPainter, ink: QColor) -> None:
        """Draw letters of rows and numbers of columns, as many as there is room for."""
        cell, font = self._cell, painter.font()
        font.setPixelSize(9)
        painter.setFont(font)
        painter.setPen(ink)
        every = max(1, round(14 / cell))
        centre = Qt.AlignmentFlag.AlignCenter
        for row in range(0, self._shape[0], every):
            painter.drawText(QRectF(0, _LABEL_PX + row * cell, _LABEL_PX, cell), centre, _letters(row))
        for col in range(0, self._shape[1], every):
            painter.drawText(QRectF(_LABEL_PX + col * cell - 4, 0, cell + 8, _LABEL_PX), centre, str(col + 1))

    def _go(self, down: int, right: int) -> None:
        """Choose the nearest well in a direction, or the first if none is chosen."""
        places = {name: place for place, name in self._places.items()}
        row, col = places.get(self.selected, (0, -1)) if self.selected else (0, -1)
        if not self.selected:
            down, right = 0, 1
        row, col = row + down, col + right
        while 0 <= row < self._shape[0] and 0 <= col < self._shape[1]:
            if (row, col) in self._places:
                self.choose(self._places[row, col])
                return
            row, col = row + down, col + right

    @property
    def _cell(self) -> float:
        """Side of a well, pixels."""
        room = (self.width() - _LABEL_PX) / max(1, self._shape[1])
        side: float = max(_LEAST_CELL_PX, min(_MOST_CELL_PX, room))
        return side


def _letters(row: int) -> str:
    """Return the letters of a row.

    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
    """
    text, number = "", row + 1
    while number:
        number, letter = divmod(number - 1, 26)
        text = chr(ord("A") + letter) + text
    return text
