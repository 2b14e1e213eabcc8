"""The dock without a mouse: Tab in the order of the screen, a frame around the focus, ways to the canvas and back."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QKeyEvent, QKeySequence, QPainter, QPen
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLineEdit,
    QScrollArea,
    QShortcut,
    QTabBar,
    QTabWidget,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtGui import QPaintEvent
    from qtpy.QtWidgets import QLayout

INPUTS = (QAbstractButton, QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)
_WIDTH_PX, _RADIUS_PX = 2, 3
_COLOUR = "#38a3ff"  # stands out from the light and the dark theme
_FOLLOWED = (QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide)


class KeyboardFocus(QObject):
    """Let the user reach and leave the controls of a dock by keys.

    F6 goes from the canvas to the pages of the dock and back, and Escape goes back from any control.

    Parameters
    ----------
    dock : QWidget
        The dock.
    pages : QTabWidget
        Its pages.
    """

    def __init__(self, dock: QWidget, pages: QTabWidget) -> None:
        super().__init__(dock)
        self._dock, self._pages = dock, pages
        self._frame = FocusFrame()
        order_tabs(dock)
        dock.installEventFilter(self)
        QShortcut(QKeySequence("F6"), dock).activated.connect(self.switch)
        QApplication.instance().focusChanged.connect(self._on_focus_changed)

    @property
    def is_in_dock(self) -> bool:
        """Whether a control of the dock has the focus."""
        focused = QApplication.focusWidget()
        return focused is not None and self._dock.isAncestorOf(focused)

    def switch(self) -> None:
        """Go from the canvas to the pages, or from the dock to the canvas."""
        if self.is_in_dock:
            self.leave()
        else:
            self._pages.tabBar().setFocus(Qt.FocusReason.ShortcutFocusReason)

    def leave(self) -> None:
        """Give the keys to the canvas."""
        focused = QApplication.focusWidget()
        if focused is not None:
            focused.clearFocus()
        viewer = self._dock.window().parentWidget()  # of a dock that floats
        if viewer is not None:
            viewer.activateWindow()

    def close(self) -> None:
        """Stop following the focus."""
        QApplication.instance().focusChanged.disconnect(self._on_focus_changed)
        if isalive(self._frame):
            self._frame.follow(None)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Go to the canvas when Escape reaches the dock, which its controls have no use for."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            if event.key() == Qt.Key.Key_Escape and self.is_in_dock:
                self.leave()
                return True
        return bool(super().eventFilter(watched, event))

    def _on_focus_changed(self, before: QWidget | None, focused: QWidget | None) -> None:
        if not isalive(self._frame):  # with the parent of the control that it was around
            self._frame = FocusFrame()
        self._frame.follow(focused if self.is_in_dock else None)


class FocusFrame(QWidget):
    """A frame around a control."""

    def __init__(self) -> None:
        super().__init__()
        self._followed: QWidget | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.hide()

    def follow(self, widget: QWidget | None) -> None:
        """Stay around a widget; None hides the frame."""
        if self._followed is not None and isalive(self._followed):
            self._followed.removeEventFilter(self)
        self._followed = widget
        if widget is None:
            self.hide()
            self.setParent(None)
            return
        widget.installEventFilter(self)
        self.setParent(widget.parentWidget())
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Move with the control."""
        if event.type() in _FOLLOWED:
            self._fit()
        return bool(super().eventFilter(watched, event))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(_COLOUR), _WIDTH_PX))
        inset = _WIDTH_PX / 2
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), _RADIUS_PX, _RADIUS_PX)
        painter.end()

    def _fit(self) -> None:
        followed = self._followed
        if followed is not None:
            self.setGeometry(followed.geometry().adjusted(-_WIDTH_PX, -_WIDTH_PX, _WIDTH_PX, _WIDTH_PX))
            self.setVisible(followed.isVisible())
            self.raise_()


def order_tabs(root: QWidget) -> None:
    """Let Tab visit the inputs below a widget in the order in which they are laid out, whenever they were made."""
    inputs = [widget for widget in inputs_in_order(root) if _is_reached(widget)]
    waiting = [widget for widget in inputs if widget.focusPolicy() == Qt.FocusPolicy.NoFocus]
    for widget in waiting:  # of a group of buttons, only the checked one is visited, but each must have its place
        widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    for before, after in pairwise(inputs):
        QWidget.setTabOrder(before, after)
    for widget in waiting:
        widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)


def inputs_in_order(widget: QWidget) -> Iterator[QWidget]:
    """Yield the inputs below a widget in the order in which they are laid out."""
    for child in _children_of(widget):
        is_custom = bool(child.focusPolicy() & Qt.FocusPolicy.TabFocus) and not any(_children_of(child))
        if isinstance(child, (*INPUTS, QTabBar)) or is_custom:
            yield child
        else:
            yield from inputs_in_order(child)


def _is_reached(widget: QWidget) -> bool:
    """Whether a widget takes the focus by keys now, or once it is the checked one of its group."""
    is_in_group = isinstance(widget, QAbstractButton) and widget.group() is not None
    return is_in_group or bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)


def _children_of(widget: QWidget) -> Iterator[QWidget]:
    if isinstance(widget, QTabWidget):
        yield widget.tabBar()
        yield from (widget.widget(index) for index in range(widget.count()))
    elif isinstance(widget, QScrollArea):
        yield from () if widget.widget() is None else (widget.widget(),)
    elif widget.layout() is not None:
        yield from _widgets_of(widget.layout())


def _widgets_of(layout: QLayout) -> Iterator[QWidget]:
    for index in _order_of(layout):
        item = layout.itemAt(index)
        if item.widget() is not None:
            yield item.widget()
        elif item.layout() is not None:
            yield from _widgets_of(item.layout())


def _order_of(layout: QLayout) -> list[int]:
    """Return the indices of the items of a layout, row by row; Qt keeps them in the order in which they were added."""
    indices = range(layout.count())
    if isinstance(layout, QGridLayout):
        return sorted(indices, key=lambda index: tuple(layout.getItemPosition(index))[:2])
    if isinstance(layout, QFormLayout):
        return sorted(indices, key=lambda index: _place_in_form(layout, index))
    return list(indices)


def _place_in_form(layout: QFormLayout, index: int) -> tuple[int, int]:
    row, role = layout.getItemPosition(index)
    return int(row), 0 if role == QFormLayout.ItemRole.LabelRole else 1
