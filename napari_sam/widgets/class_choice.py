"""The class that new objects get, and the classes of the store in use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import NapariSamError
from napari_sam.widgets.qt_helpers import swatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qtpy.QtWidgets import QComboBox

    from napari_sam.io.labels.journal.class_rows import ObjectClass
    from napari_sam.widgets.viewer.label_target import LabelTarget


class ClassChoice(QObject):
    """Follow the classes of the label store in use, and hold the one that accepted objects get.

    Parameters
    ----------
    labels : LabelTarget
        Destination of accepted objects.
    combo : QComboBox
        Box that shows the class of accepted objects.
    show : callable
        Called with False while there are no classes, so that the box need not be shown.

    Attributes
    ----------
    current : str or None
        Name of the class of new objects; None for no class.
    classes : list of ObjectClass
        The classes, in their order; empty without a store.
    suggested : dict
        Class that the object classifier gave to each object, by id, the least certain first; without those that the
        user has confirmed or corrected.

    Signals
    -------
    changed
        There are other classes.
    """

    changed = Signal()

    def __init__(self, labels: LabelTarget, combo: QComboBox, show: Callable[[bool], None]) -> None:
        super().__init__()
        self._labels, self._combo, self._show = labels, combo, show
        self.current: str | None = None
        self.classes: list[ObjectClass] = []
        self.suggested: dict[int, str] = {}
        combo.activated.connect(lambda _: self.choose(combo.currentData()))
        labels.store_opened.connect(self._on_store_opened)
        labels.store_closing.connect(self._on_store_closing)
        show(False)

    @property
    def names(self) -> list[str]:
        """Names of the classes."""
        return [item.name for item in self.classes]

    @property
    def keys(self) -> dict[int, str]:
        """Name of the class of each key that has one."""
        return {item.key: item.name for item in self.classes if item.key is not None}

    def confirm(self, labels: Iterable[int]) -> None:
        """Take the classes of objects for the user's own."""
        for label in labels:
            self.suggested.pop(label, None)

    @property
    def bindings(self) -> dict[str, Callable[[], None]]:
        """Keys that choose the class of new objects; only those that a class has, since napari uses the others."""
        return {str(key): partial(self.choose_key, key) for key in self.keys}

    def choose(self, name: str | None) -> None:
        """Give new objects this class; None for no class."""
        self.current = name
        self._combo.setCurrentIndex(max(0, self._combo.findData(name)))
        if self._labels.store_layers is not None:
            self._labels.store_layers.category = name

    def choose_key(self, key: int) -> None:
        """Give new objects the class that has a key; the same key once more takes it back."""
        name = self.keys.get(key)
        self.choose(None if name == self.current else name)

    def update(self) -> None:
        """Read the classes of the store again."""
        store_layers = self._labels.store_layers
        try:
            classes = [] if store_layers is None else list(store_layers.store.classes)
        except NapariSamError:
            return  # reported by whatever uses the store next
        self._take(classes)

    def _take(self, classes: list[ObjectClass]) -> None:
        if classes == self.classes:
            return
        self.classes = classes
        self._combo.clear()
        self._combo.addItem("no class", None)
        for item in classes:
            text = f"{item.name}  ({item.key})" if item.key else item.name
            self._combo.addItem(swatch(item.colour), text, item.name)
        self._show(bool(classes))
        self.choose(self.current if self.current in self.names else None)
        self.changed.emit()

    def _on_store_opened(self) -> None:
        self.update()
        self.choose(self.current)

    def _on_store_closing(self) -> None:
        self.current, self.suggested = None, {}
        self._take([])
