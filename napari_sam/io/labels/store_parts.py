"""The parts of an open label store, opened and closed together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.editing.change_writer import ChangeWriter
from napari_sam.io.labels.journal.journal import Journal
from napari_sam.io.labels.label_pyramid import LabelPyramid
from napari_sam.io.labels.store_access import JOURNAL_FILE, StoreAccess
from napari_sam.io.labels.store_files import check_store

if TYPE_CHECKING:
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
    """

    access: StoreAccess
    journal: Journal
    pyramid: LabelPyramid
    writer: ChangeWriter

    @classmethod
    def open(cls, path: Path, writable: bool) -> StoreParts:
        """Open a store and complete pixels that a crash interrupted.

        Raises
        ------
        StoreError
            If there is none, or it is damaged.
        StoreLockedError
            If another process writes to it.
        """
        if not path.is_dir():
            raise StoreError(f"{path}: there is no label store here", remedy="see {LabelStore.create}")
        check_store(path, writable)
        access = StoreAccess(path, writable)
        journal: Journal | None = None
        try:
            journal = Journal(path / JOURNAL_FILE, writable)
            pyramid = LabelPyramid(path, writable)
            if list(pyramid.shape) != journal.meta("shape"):
                raise StoreError(
                    f"{path}: pixels of shape {pyramid.shape}, but a journal of {journal.meta('shape')}: the folder "
                    "holds parts of two stores",
                    remedy="restore one of them from a backup",
                )
            parts = cls(access, journal, pyramid, ChangeWriter(access, journal, pyramid))
            if writable:
                parts.writer.catch_up()
        except BaseException:
            if journal is not None:
                journal.close()
            access.close()
            raise
        return parts

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
