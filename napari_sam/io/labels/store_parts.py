"""The parts of an open label store, opened and closed together."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.changes.change_writer import ChangeWriter
from napari_sam.io.labels.journal.journal import Journal
from napari_sam.io.labels.label_pyramid import LabelPyramid
from napari_sam.io.labels.recovery.folder_check import check_folder
from napari_sam.io.labels.recovery.mend_store import check_nothing_lost, drawn_up_to, level_marks, mend_pixels
from napari_sam.io.labels.recovery.redraw import redraw
from napari_sam.io.labels.recovery.salvage_store import salvage_if_damaged
from napari_sam.io.labels.store_access import JOURNAL_FILE, StoreAccess
from napari_sam.io.labels.store_files import check_fits, check_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class StoreParts:
    """Parts of an open label store.

    Attributes
    ----------
    access : StoreAccess
        Lock and guard.
    journal : Journal
        The record of objects and changes.
    pyramid : LabelPyramid
        The pixels.
    writer : ChangeWriter
        Writes changes into both.
    notices : tuple of str
        What was wrong when the store was opened, and was mended.
    """

    access: StoreAccess
    journal: Journal
    pyramid: LabelPyramid
    writer: ChangeWriter
    notices: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path, writable: bool, repair: bool = False, like: object = None) -> StoreParts:
        """Open a store, and complete or mend pixels that a crash interrupted.

        Parameters
        ----------
        path : Path
            Folder of the store.
        writable : bool
            Open for writing.
        repair : bool
            Draw the pixels again from the journal.
        like : Image, optional
            An image that the labels must fit.

        Raises
        ------
        StoreError
            If there is none, it is damaged, or of another shape than the image.
        StoreLockedError
            If another process writes to it.
        """
        if not path.is_dir():
            raise StoreError(f"{path}: there is no label store here", remedy="see {LabelStore.create}")
        notices = salvage_if_damaged(path) if repair else []
        check_store(path, writable)
        access = StoreAccess(path, writable)
        with contextlib.ExitStack() as opened:
            opened.callback(access.close)
            marks = level_marks(path)
            journal = Journal(path / JOURNAL_FILE, writable)
            opened.callback(journal.close)
            if writable:
                contents = check_folder(path, writable=True)  # again, now that no other process writes
                notices += mend_pixels(path, journal, contents, unclean=access.ended_uncleanly, repair=repair)
            else:
                check_nothing_lost(path, journal, marks)
            pyramid = LabelPyramid(path, writable)
            if list(pyramid.shape) != journal.meta("shape"):
                raise StoreError(
                    f"{path}: pixels of shape {pyramid.shape}, but a journal of {journal.meta('shape')}: the folder "
                    "holds parts of two stores",
                    remedy="restore one of them from a backup",
                )
            check_fits(path, pyramid.shape, like)
            writer = ChangeWriter(access, journal, pyramid, drawn_up_to(path, journal))
            if writable:
                writer.catch_up()
            opened.pop_all()
        return cls(access, journal, pyramid, writer, tuple(notices))

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Draw all pixels again from the journal; `progress` is called with the changes drawn and their number."""
        self.writer.redrawn(lambda: redraw(self.access.path, self.journal, progress))

    def close(self) -> None:
        """Close the files and release the lock; a second call does nothing."""
        with self.access.held():
            if self.access.closed:
                return
            if self.access.in_opening_process:  # a forked child must not touch its parent's files
                if self.access.writable:
                    self.writer.close()
                self.journal.close()
            self.access.close()
