"""Mend what an earlier process left behind when it ended without closing a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.changes.drawn_marks import read_mark
from napari_sam.io.labels.level_checks import dataset_paths, level_folder
from napari_sam.io.labels.recovery.lost_changes import lost_after, recover
from napari_sam.io.labels.recovery.redraw import discard_draft, install_redrawn, is_interrupted, redraw
from napari_sam.io.labels.recovery.shard_check import damaged_shard

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import LogMark
    from napari_sam.io.labels.recovery.folder_check import FolderContents


def level_marks(path: Path) -> list[LogMark | None]:
    """Return the mark of each level; none if the levels are missing or damaged."""
    try:
        return [read_mark(level_folder(path, name)) for name in dataset_paths(path)]
    except StoreError:
        return []


def check_nothing_lost(path: Path, journal: Journal, marks: list[LogMark | None]) -> None:
    """Refuse a store, open for reading, whose journal has lost changes.

    Parameters
    ----------
    path : Path
        Folder of the store.
    journal : Journal
        Its changes.
    marks : list of LogMark or None
        The marks, read before the journal was opened: a writer writes the journal first.

    Raises
    ------
    StoreError
        If pixels and journal disagree.
    """
    last = lost_after(journal, [mark for mark in marks if mark is not None])
    if last is not None:
        raise StoreError(
            f"{path}: the journal has lost its changes after number {last}, which the pixels still show; its "
            "write-ahead log was damaged or deleted",
            remedy="open the store once for writing, with LabelStore.open(path) or napari-sam repair, which mends it",
        )


def mend_pixels(path: Path, journal: Journal, contents: FolderContents, *, unclean: bool, repair: bool) -> list[str]:
    """Bring the pixels of a store to a state from which drawing can go on.

    Parameters
    ----------
    path : Path
        Folder of the store, of which the caller has the writer's lock.
    journal : Journal
        The changes.
    contents : FolderContents
        What `check_folder` found.
    unclean : bool
        Whether the last writer did not close the store.
    repair : bool
        Draw the pixels again in any case.

    Returns
    -------
    list of str
        What was wrong and was mended, for the user.
    """
    try:
        install_redrawn(path)
        for lock in contents.stale_locks:
            lock.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be mended: {error}", remedy="make the folder writable") from error
    marks = [mark for mark in level_marks(path) if mark is not None]
    last = lost_after(journal, marks)
    if last is not None:
        kept = recover(path, journal)
        return [
            f"{path}: the journal had lost its changes after number {last}, because its write-ahead log was damaged or "
            f"deleted; {kept}"
        ]
    damaged = None
    if unclean or contents.stale_locks:
        damaged = next((shard for shard in map(damaged_shard, _folders(path)) if shard is not None), None)
    if repair or damaged is not None or is_interrupted(path) or _was_never_drawn(path, journal):
        redraw(path, journal)
    discard_draft(path)
    if damaged is None:
        return []
    return [f"{damaged}: the file was damaged when a process was killed; the pixels were drawn again from the journal"]


def drawn_up_to(path: Path, journal: Journal) -> int:
    """Return the last entry of the log that all levels certainly show."""
    seqs = [0 if mark is None else mark.seq for mark in level_marks(path)]
    return min([journal.rendered(), *seqs]) if any(seqs) else journal.rendered()


def _folders(path: Path) -> list[Path]:
    try:
        return [path / name for name in dataset_paths(path)]
    except StoreError:
        return []


def _was_never_drawn(path: Path, journal: Journal) -> bool:
    """Whether version 0.1 was interrupted while it drew the pixels again, which it began by deleting them."""
    folders = _folders(path)
    missing = not folders or not all((folder / "zarr.json").is_file() for folder in folders)
    return missing and journal.rendered() == 0
