"""What is done with the selected objects: delete, merge, relabel, classify; one step of undo each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QInputDialog

from napari_sam.widgets.objects.class_suggestions import write_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qtpy.QtWidgets import QWidget

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.selected_objects import SelectedObjects
    from napari_sam.widgets.objects.store_jobs import StoreJobs

_LARGEST_ID = 2**31 - 1  # that Qt's dialog for whole numbers can hold
_LEAST_MERGED = 2


class ObjectEdits:
    """Change the selected objects of the label store in use.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    selected : SelectedObjects
        The selection.
    jobs : StoreJobs
        Writes the changes.
    parent : QWidget
        Widget that dialogs belong to.
    """

    def __init__(self, context: DockContext, selected: SelectedObjects, jobs: StoreJobs, parent: QWidget) -> None:
        self._context, self._selected, self._jobs, self._parent = context, selected, jobs, parent

    def delete(self) -> None:
        """Remove the selected objects."""
        labels = self._chosen()
        if labels:
            self._jobs.change(lambda store: store.delete(labels), self._then("Deleted", labels, ()))

    def merge(self) -> None:
        """Make the selected objects one, with the smallest of their ids."""
        labels = self._chosen()
        if len(labels) == 1:
            self._context.notifier.info("Select two objects or more to merge them: Shift-click adds one.")
        elif len(labels) >= _LEAST_MERGED:
            self._jobs.change(lambda store: store.merge(labels), self._then("Merged", labels, labels[:1]))

    def relabel(self) -> None:
        """Ask for an id, and number the selected objects from it."""
        labels, store_layers = self._chosen(), self._context.labels.store_layers
        if not labels or store_layers is None:
            return
        text = f"New id of object {labels[0]}" if len(labels) == 1 else f"First of {len(labels)} consecutive new ids"
        first, accepted = QInputDialog.getInt(
            self._parent, "New id", text, store_layers.store.next_label, 1, _LARGEST_ID
        )
        if accepted:
            self.relabel_from(first)

    def relabel_from(self, first: int) -> None:
        """Give the selected objects consecutive ids, in the order of their present ones."""
        labels = self._chosen()
        ids = dict(zip(labels, range(first, first + len(labels)), strict=True))
        if ids:
            self._jobs.change(lambda store: store.relabel(ids), self._then("Relabelled", labels, ids.values()))

    def classify(self, name: str | None) -> None:
        """Give the selected objects a class; None for no class."""
        labels = self._chosen()
        if labels:
            done = f"Set to “{name}”:" if name else "Class removed of"
            self._context.classes.confirm(labels)
            classes = dict.fromkeys(labels, name)
            self._jobs.change(lambda store: write_classes(store, classes), self._then(done, labels, labels))

    def _chosen(self) -> list[int]:
        """Return the selected objects; tell the user if there are none."""
        labels = self._selected.ordered
        if not labels:
            self._context.notifier.info("Select objects first: click one, or draw a box or a lasso around several.")
        return labels

    def _then(self, done: str, labels: list[int], selected: Iterable[int]) -> Callable[[object], None]:
        """Return what happens after a change: the selection follows, and the dock says what was done."""

        def finish(_: object) -> None:
            self._selected.set(selected)
            count = f"{len(labels)} object{'' if len(labels) == 1 else 's'}"
            self._context.notifier.note(f"{done} {count}; Ctrl+Z undoes it.")

        return finish
