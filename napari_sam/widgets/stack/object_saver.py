"""Saving objects on many planes, large ones in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import NapariSamError
from napari_sam.layers.stacks.saved_propagation import write_planes

if TYPE_CHECKING:
    from napari_sam.layers.label_store_layers import LabelStoreLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.stack.unsaved_object import UnsavedObject

SAVE = "save"
_LARGE_PX = 1 << 23  # pixels in the boxes of all planes, from which an object is saved in the engine's thread


class ObjectSaver(QObject):
    """Write followed objects to the destination in use.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.

    Signals
    -------
    saved : UnsavedObject, int
        An object is saved with this id.
    failed : UnsavedObject
        An object could not be saved; the user was told why.
    """

    saved = Signal(object, int)
    failed = Signal(object)

    def __init__(self, context: DockContext) -> None:
        super().__init__()
        self._context = context
        self._under_way: tuple[UnsavedObject, LabelStoreLayers] | None = None
        context.thread.finished.connect(self._on_finished)

    @property
    def is_busy(self) -> bool:
        """Whether an object is being saved in the background."""
        return self._under_way is not None

    def save(self, followed: UnsavedObject, overlap: str, parent: int | None) -> None:
        """Write an object; `overlap` and `parent` are those of `LabelWriter.commit_planes`."""
        result = followed.result
        if result is None:
            return
        labels = self._context.labels
        try:
            writer, store_layers = labels.ready(), labels.store_layers
            size = sum(record.box.area for record in result.records.values())
            if writer is not store_layers or store_layers is None or size < _LARGE_PX:
                label = writer.commit_planes(result, overlap, parent=parent, label=followed.label)
            else:
                store_layers.lend()
                store, own, category = store_layers.store, followed.label, store_layers.category
                self._under_way = followed, store_layers
                self._context.thread.submit(
                    SAVE, lambda _: write_planes(store, result, overlap, parent, own, category=category)
                )
                return
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            self.failed.emit(followed)
        else:
            self.saved.emit(followed, label)

    def _on_finished(self, outcome: Outcome) -> None:
        if outcome.kind != SAVE or self._under_way is None:
            return
        (followed, store_layers), self._under_way = self._under_way, None
        store_layers.take_back()
        if isinstance(outcome.value, int):
            self.saved.emit(followed, outcome.value)
        else:  # the dock reports the error
            self.failed.emit(followed)
