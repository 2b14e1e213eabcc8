"""Undo and redo of a label store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.rows import DONE, UNDONE

if TYPE_CHECKING:
    from napari_sam.io.labels.changes.change_writer import ChangeWriter
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
            following = self._journal.changes.next_change(undo)
            if following is None:
                return None
            last = following
            for change in self._one_step(following, undo):
                self._writer.step(change, undo)
                if change.run_id == following.run_id:
                    last = change
        return {"kind": last.kind, **{key: value for key, value in last.record.items() if key != "mask"}}

    def _one_step(self, following: JournaledChange, undo: bool) -> list[JournaledChange]:
        """Return the changes that one step undoes or redoes, in this order.

        A whole-image run is one step, also if other changes were made while it was written: those that touch none of
        its objects stay as they are, and those that do are undone and redone with it.
        """
        if not following.is_whole_image_run or following.run_id is None:
            return [following]
        changes = self._journal.changes
        span = changes.span_of_run(following.run_id, undo)
        members = self._connected(span, following.run_id, set())
        if undo:
            return [change for change in reversed(span) if change.op in members]
        members = self._connected(span[::-1], following.run_id, members)  # what they are redone upon
        return [change for change in span if change.op in members]

    def _connected(self, span: list[JournaledChange], run_id: str, known: set[int]) -> set[int]:
        """Return the changes of a run, those known, and those that touch objects of such changes earlier in `span`."""
        members = {change.op for change in span if change.run_id == run_id} | known
        if len(members) == len(span):
            return members
        touched: set[int] = set()
        for change in span:
            labels = self._journal.changes.objects_of(change.op)
            if change.op in members or not touched.isdisjoint(labels):
                members.add(change.op)
                touched |= labels
        return members
