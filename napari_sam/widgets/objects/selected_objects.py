"""The selection: ids of objects of a label store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

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
        given = frozenset(int(label) for label in labels)
        if how is Combine.REPLACE:
            self.set(given)
        else:
            self.set(self.labels | given if how is Combine.ADD else self.labels - given)

    def pick(self, label: int, how: Combine) -> None:
        """Select an object that was clicked, 0 for the background; with Shift, a selected one is deselected."""
        if how is Combine.ADD and label in self.labels:
            how = Combine.REMOVE
        if label or how is Combine.REPLACE:
            self.combine([label] if label else [], how)

    def clear(self) -> None:
        """Select nothing."""
        self.set(())
