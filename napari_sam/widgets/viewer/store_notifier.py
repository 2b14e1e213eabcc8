"""Changes of a label store by other threads, as the window hears of them."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal


class StoreNotifier(QObject):
    """Carry the changes that other threads make in a store to the GUI thread."""

    changed = Signal()
