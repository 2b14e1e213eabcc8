"""Undo and redo of a label store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.rows import DONE, UNDONE

if TYPE_CHECKING:
    from napari_sam.io.labels.editing.change_writer import ChangeWriter
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import JournaledChange, Record


class EditHistory:
    """Take changes back and make them again; a whole-image run is one step.

    Parameters
    ----------
    journal : Journal
        Knows the changes.
    writer : ChangeWriter
        Draws them.
    """

    def __init__(self, journal: Journal, writer: ChangeWriter) -> None:
        self._journal, self._writer = journal, writer

    @property
    def can_undo(self) -> bool:
        """Whether a change stands."""
        return self._journal.changes.any_in(DONE)

    @property
    def can_redo(self) -> bool:
        """Whether a change waits for redo."""
        return self._journal.changes.any_in(UNDONE)

    def undo(self) -> Record | None:
        """Take the last change back; returns its record with its kind, or None if there is none."""
        return self._step(back=True)

    def redo(self) -> Record | None:
        """Make the change that was last taken back again; returns as `undo`."""
        return self._step(back=False)

    def _step(self, back: bool) -> Record | None:
        with self._writer.writing():
            change = self._writer.step(back)
            while change is not None and change.is_whole_image_run and self._follows(change, back):
                change = self._writer.step(back)
        if change is None:
            return None
        return {"kind": change.kind, **{key: value for key, value in change.record.items() if key != "mask"}}

    def _follows(self, change: JournaledChange, back: bool) -> bool:
        """Whether the next change to step is of the same run."""
        following = self._journal.changes.next_to_step(DONE if back else UNDONE)
        return following is not None and following.is_whole_image_run and following.run_id == change.run_id
