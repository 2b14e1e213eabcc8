"""Write changes into the journal first and then into the pixels, so that no completed change is ever lost."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from napari_sam.engine.memory import trim_heap
from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.changes.change_notes import ChangeNotes
from napari_sam.io.labels.changes.draw_patches import draw_patches
from napari_sam.io.labels.changes.drawn_marks import write_marks
from napari_sam.io.labels.changes.edit import Edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.engine.geometry import Box
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Change, JournaledChange, LogEntry, Patch, Plane, Record
    from napari_sam.io.labels.label_pyramid import LabelPyramid
    from napari_sam.io.labels.store_access import StoreAccess


class ChangeWriter:
    """Write every change of an open label store.

    Parameters
    ----------
    access : StoreAccess
        Guards the store.
    journal : Journal
        Records the changes.
    pyramid : LabelPyramid
        Shows them.
    rendered : int
        Last entry of the journal's log that the pixels certainly show.

    Attributes
    ----------
    notes : ChangeNotes
        Facts that are added to the record of every change.
    """

    def __init__(self, access: StoreAccess, journal: Journal, pyramid: LabelPyramid, rendered: int) -> None:
        self._access, self._journal, self._pyramid = access, journal, pyramid
        self._rendered = rendered
        self.notes = ChangeNotes()
        self._listeners: list[Callable[[Plane, Box], None]] = []

    def on_drawn(self, listener: Callable[[Plane, Box], None]) -> None:
        """Call `listener` with plane and box (level-0 pixels) whenever pixels were changed."""
        self._listeners.append(listener)

    @contextlib.contextmanager
    def writing(self, catch_up: bool = True) -> Iterator[None]:
        """Block other threads during one change, after drawing pending changes."""
        with self._access.writing():
            if catch_up:
                self.catch_up()
            yield

    def edit(self, kind: str, record: Record, plane: Plane | None) -> Edit:
        """Return a new change, to be painted and written; on the first plane if none is given.

        Raises
        ------
        LabelsError
            If the store has no such plane.
        """
        start = (0,) * (len(self._pyramid.shape) - 2) if plane is None else self._pyramid.checked_plane(plane)
        return Edit(self._pyramid, self._journal, start, kind, record)

    def write(self, change: Change) -> None:
        """Write a change to the journal, then draw it.

        Raises
        ------
        LabelsError
            If it changes nothing.
        StoreError
            If it cannot be written. If the message says that it is in the journal, it is not lost.
        """
        if not change.patches and not change.rows and not change.classes:
            raise LabelsError("nothing would change", remedy="give objects or settings that differ from what is there")
        entry = self._add(change)
        self._draw_entry(entry, change.patches)
        trim_heap(sum(patch.box.area for patch in change.patches))

    def write_record(self, change: Change) -> int:
        """Write a change without pixels to the journal; returns its number."""
        entry = self._add(change)
        self._set_rendered(entry.seq)
        return entry.op

    def step(self, change: JournaledChange, undo: bool) -> None:
        """Undo a change, or redo it. Later changes may be in effect if they touch none of its objects."""
        with self.writing():
            patches = list(self._journal.changes.patches(change.op))
            for patch in patches:
                patch.labels(after=not undo)  # damaged runs are reported before anything is written
            self._draw_entry(self._journal.step(change.op, undo, self._rendered), patches)

    def catch_up(self) -> None:
        """Draw the changes that are in the journal but may be missing in the pixels."""
        for entry in self._journal.log_after(self._rendered):
            patches = list(self._journal.changes.patches(entry.op))
            draw_patches(self._pyramid, patches, entry.action)
            self._set_rendered(entry.seq)
            self._notify(patches)

    def redrawn(self, redraw: Callable[[], None]) -> None:
        """Draw all pixels again with `redraw`, which replaces the files, and show them.

        Parameters
        ----------
        redraw : callable
            Draws everything in the journal.
        """
        with self.writing(catch_up=False):
            redraw()
            self._pyramid.reopen()
            self._rendered = self._journal.rendered()
            for op in self._journal.changes.ops_in_effect():
                self._notify(list(self._journal.changes.patches(op)))

    def close(self) -> None:
        """Record which changes are drawn, so that the next opening need not draw them again."""
        with contextlib.suppress(StoreError):
            self._journal.set_rendered(self._rendered)

    def _add(self, change: Change) -> LogEntry:
        self.notes.add_to(change)
        return self._journal.add(change, self._rendered)

    def _draw_entry(self, entry: LogEntry, patches: list[Patch]) -> None:
        try:
            draw_patches(self._pyramid, patches, entry.action)
        except StoreError as error:
            raise StoreError(
                f"the change is safe in the journal, but its pixels are not drawn yet: {error}; they will be drawn "
                "with the next change, or when the store is opened again",
                remedy="check that the disk of the store has space and is connected",
            ) from error
        self._set_rendered(entry.seq)
        self._notify(patches)

    def _set_rendered(self, seq: int) -> None:
        """Note, here and in the pixels, that they show everything up to a log entry."""
        self._rendered = seq
        write_marks(self._pyramid.folders, self._journal.log_mark(seq))

    def _notify(self, patches: list[Patch]) -> None:
        for patch in patches:
            for listener in self._listeners:
                listener(patch.plane, patch.box)
