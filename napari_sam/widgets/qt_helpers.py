"""Small helpers for Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QObject


def refill(combo: Any, items: list[tuple[str, Any]]) -> None:
    """Replace a combo box's items and keep the choice if it is still there."""
    before = combo.currentData()
    with QSignalBlocker(combo):
        combo.clear()
        for text, data in items:
            combo.addItem(text, data)
        index = next((i for i, (_, data) in enumerate(items) if data is before), 0)
        combo.setCurrentIndex(index if items else -1)


def single_shot(parent: QObject, milliseconds: int, action: Callable[[], None]) -> QTimer:
    """A timer that calls `action` once, so long after it was last started."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer
