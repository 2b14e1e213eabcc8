"""The selection: ids of objects of a label store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal

from napari_sam.layers.objects.selection_band import Combine

if TYPE_CHECKING:
    from collections.abc import Iterable


class SelectedObjects(QObject):
    """Hold the ids of the selected objects.

    Attributes
    ----------
    labels : frozenset of int
        The ids.

    Signals
    -------
    changed
        Other objects are selected.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.labels: frozenset[int] = frozenset()

    def __len__(self) -> int:
        """Return the number of selected objects."""
        return len(self.labels)

    @property
    def ordered(self) -> list[int]:
        """The ids in ascending order."""
        return sorted(self.labels)

    def set(self, labels: Iterable[int]) -> None:
        """Select these objects and no others."""
        chosen = frozenset(int(label) for label in labels)
        if chosen != self.labels:
            self.labels = chosen
            self.changed.emit()

    def combine(self, labels: Iterable[int], how: Combine) -> None:
        """Select these objects in place of the others, besides them, or no longer."""
        self.set(combine(self.labels, (int(label) for label in labels), how))

    def pick(self, label: int, how: Combine) -> None:
        """Select an object that was clicked, 0 for the background; with Shift, a selected one is deselected."""
        if how is Combine.ADD and label in self.labels:
            how = Combine.REMOVE
        if label or how is Combine.REPLACE:
            self.combine([label] if label else [], how)

    def clear(self) -> None:
        """Select nothing."""
        self.set(())


def combine(selected: frozenset[int], labels: Iterable[int], how: Combine) -> frozenset[int]:
    """Return a selection changed by some ids."""
    given = frozenset(labels)
    if how is Combine.REPLACE:
        return given
    return selected | given if how is Combine.ADD else selected - given


def combine_keys(modifiers: Qt.KeyboardModifier) -> Combine:
    """Return what the keys mean that are held: Shift adds, Control removes."""
    if modifiers & Qt.KeyboardModifier.ControlModifier:
        return Combine.REMOVE
    return Combine.ADD if modifiers & Qt.KeyboardModifier.ShiftModifier else Combine.REPLACE
