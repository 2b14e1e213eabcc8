"""Undo and redo of a label store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.rows import DONE, UNDONE

if TYPE_CHECKING:
    from napari_sam.io.labels.editing.change_writer import ChangeWriter
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import JournaledChange, Record


class EditHistory:
    """Undo and redo changes; a whole-image run is one step.

    Parameters
    ----------
    journal : Journal
        The changes.
    writer : ChangeWriter
        Applies them.
    """

    def __init__(self, journal: Journal, writer: ChangeWriter) -> None:
        self._journal, self._writer = journal, writer

    @property
    def can_undo(self) -> bool:
        """Whether a change is in effect."""
        return self._journal.changes.any_in(DONE)

    @property
    def can_redo(self) -> bool:
        """Whether a change waits for redo."""
        return self._journal.changes.any_in(UNDONE)

    def undo(self) -> Record | None:
        """Undo the last change; returns its record with its kind, or None if there is none."""
        return self._step(undo=True)

    def redo(self) -> Record | None:
        """Redo the change that was undone last; returns as `undo`."""
        return self._step(undo=False)

    def _step(self, undo: bool) -> Record | None:
        with self._writer.writing():
            change = self._writer.step(undo)
            while change is not None and change.is_whole_image_run and self._continues(change, undo):
                change = self._writer.step(undo)
        if change is None:
            return None
        return {"kind": change.kind, **{key: value for key, value in change.record.items() if key != "mask"}}

    def _continues(self, change: JournaledChange, undo: bool) -> bool:
        """Whether the next change to undo or redo belongs to the same run."""
        following = self._journal.changes.next_change(undo)
        return following is not None and following.is_whole_image_run and following.run_id == change.run_id
