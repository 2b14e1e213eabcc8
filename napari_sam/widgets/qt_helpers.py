"""Small helpers for Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSignalBlocker, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qtpy.QtCore import QObject

_LEAST_HEIGHT = 200
_SWATCH_PX = 12
_HINT_MARGIN_PX = 8
_COMBO_CHARACTERS = 12  # narrow enough for a dock; long items are cut


def button(text: str, tip: str, *, checkable: bool = False) -> QPushButton:
    """Make a button that Tab reaches; a click with the mouse leaves the keyboard focus on the canvas."""
    made = QPushButton(text)
    made.setToolTip(tip)
    if not any(character.isalpha() for character in text):
        made.setAccessibleName(tip)  # a screen reader cannot say “◀”
    made.setCheckable(checkable)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


def primary_button(text: str, tip: str) -> QPushButton:
    """Make the button of a page's main action."""
    made = button(text, tip)
    made.setStyleSheet("QPushButton { font-weight: bold; padding: 6px; }")
    return made


def combo_box(tip: str, choices: Iterable[tuple[str, object]] = ()) -> QComboBox:
    """Make a combo box of (text, value) choices that does not widen the dock."""
    made = QComboBox()
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    narrow(made)
    for text, value in choices:
        made.addItem(text, value)
    return made


def narrow(combo: QComboBox) -> None:
    """Keep the items of a combo box from widening the dock."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(_COMBO_CHARACTERS)


def swatch(colour: str) -> QIcon:
    """Return a small square of a colour, "#rrggbb"."""
    pixels = QPixmap(_SWATCH_PX, _SWATCH_PX)
    pixels.fill(QColor(colour))
    return QIcon(pixels)


def wrapped_label(text: str = "", *, selectable: bool = False) -> QLabel:
    """Make a label that breaks lines; the text of a selectable one can be copied."""
    made = QLabel(text)
    made.setWordWrap(True)
    if selectable:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def row(widgets: Sequence[QWidget], stretch: int | None = None) -> QHBoxLayout:
    """Lay widgets out side by side; the one of index `stretch` takes the free width."""
    layout = QHBoxLayout()
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if index == stretch else 0)
    return layout


def line_edit(name: str, placeholder: str, tip: str) -> QLineEdit:
    """Make a field for text; `name` says what it is to a screen reader, `placeholder` is an example."""
    made = QLineEdit()
    made.setAccessibleName(name)
    made.setPlaceholderText(placeholder)
    made.setToolTip(tip)
    return made


def draw_hint(view: QAbstractItemView, text: str) -> None:
    """Draw what to do over a view without rows; to be called when it is painted."""
    painter = QPainter(view.viewport())
    painter.setPen(view.palette().color(QPalette.ColorRole.PlaceholderText))
    room = view.viewport().rect().adjusted(_HINT_MARGIN_PX, 0, -_HINT_MARGIN_PX, 0)
    painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), text)
    painter.end()


def scrolled(widget: QWidget) -> QScrollArea:
    """Return a frameless area that shows a widget, and scrolls it up and down where the window is too low for it."""
    area = _VerticalScroll()
    area.setWidget(widget)
    return area


def refill(combo: QComboBox, items: Sequence[tuple[str, object]]) -> None:
    """Replace the items of a combo box, and keep the selection if it is among the new items."""
    selected = combo.currentData()
    with QSignalBlocker(combo):
        combo.clear()
        for text, data in items:
            combo.addItem(text, data)
        index = next((i for i, (_, data) in enumerate(items) if data is selected), 0)
        combo.setCurrentIndex(index if items else -1)


def single_shot(parent: QObject, milliseconds: int, action: Callable[[], None]) -> QTimer:
    """Return a timer that calls `action` once, `milliseconds` after its last start."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer


class _VerticalScroll(QScrollArea):
    """A scroll area that is never narrower than what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Become wider with the content."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def minimumSizeHint(self) -> QSize:
        """Return the width of the content beside a scroll bar, and a height that any screen has."""
        content, bar = self.widget(), self.verticalScrollBar()
        width = 0 if content is None else content.minimumSizeHint().width()
        return QSize(width + (0 if bar is None else bar.sizeHint().width()), _LEAST_HEIGHT)

    def sizeHint(self) -> QSize:
        """Return the size of the content."""
        content = self.widget()
        return self.minimumSizeHint() if content is None else content.sizeHint().expandedTo(self.minimumSizeHint())


class Fold(QWidget):
    """Section that is hidden until its title is clicked.

    Parameters
    ----------
    title : str
        Text of the line that opens and closes the section.
    content : QWidget
        What the section shows.
    """

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self.content = content
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setToolTip(f"Show or hide: {title}")
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.header)
        layout.addWidget(content)
        self.header.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def _on_toggled(self, is_open: bool) -> None:
        self.header.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self.content.setVisible(is_open)
