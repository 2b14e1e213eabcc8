"""Repair a store whose journal is damaged: keep what is sound of the history, and the objects that the pixels show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.journal import Journal
from napari_sam.io.labels.journal.rows import ObjectPlane, ObjectRow
from napari_sam.io.labels.journal.salvage import Salvage, check_salvageable
from napari_sam.io.labels.label_pyramid import LabelPyramid
from napari_sam.io.labels.recovery.folder_check import check_folder
from napari_sam.io.labels.recovery.lost_changes import drawn_blocks, keep_plane
from napari_sam.io.labels.recovery.redraw import install_redrawn, redraw
from napari_sam.io.labels.store_access import JOURNAL_FILE, WriterLock
from napari_sam.io.object_boxes import boxes_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.io.labels.changes.edit import Scores

_NEW = "journal.salvaged.sqlite"
_OLD = "journal.damaged.sqlite"
_LOGS = ("-wal", "-shm")


def salvage_if_damaged(path: Path) -> list[str]:
    """Make a new journal of what is sound if the journal of a store is damaged.

    The damaged file is kept beside it. Changes of which something is lost can no longer be undone; what the pixels
    show of them is kept as a change of kind "recovered".

    Parameters
    ----------
    path : Path
        Folder of the store.

    Returns
    -------
    list of str
        What was lost, for the user; empty for a sound journal.

    Raises
    ------
    StoreError
        If neither the journal nor the pixels tell what the store holds, or the folder holds links or a file with
        tables of somebody else.
    """
    journal, new = path / JOURNAL_FILE, path / _NEW
    check_folder(path, writable=True)
    if not journal.exists() and new.exists() and (path / _OLD).exists():
        new.replace(journal)  # an earlier repair was interrupted between two steps
    if not journal.is_file() or _is_sound(journal):
        return []
    check_salvageable(journal)
    lock = WriterLock(path)
    try:
        try:
            lost = _salvage(path)
            for suffix in ("", *_LOGS):
                damaged = journal.with_name(JOURNAL_FILE + suffix)
                if damaged.exists():
                    damaged.replace(path / (_OLD + suffix))
            new.replace(journal)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"{path}: cannot be repaired: {error}", remedy="make room, then repair it again"
            ) from error
    finally:
        lock.release()
    return [
        f"{path}: the journal was damaged, and what is sound was saved; lost: {'; '.join(lost) or 'nothing'}; the "
        f"objects that the pixels show are kept, and the damaged file is {_OLD}"
    ]


def _is_sound(path: Path) -> bool:
    try:
        journal = Journal(path, writable=False)
    except StoreError:
        return False  # what it is, the salvage finds out
    try:
        journal.check_all()
    except StoreError:
        return False
    finally:
        journal.close()
    return True


def _salvage(path: Path) -> list[str]:
    """Write the new journal and draw the pixels from it; returns what is lost."""
    install_redrawn(path)
    try:
        old: LabelPyramid | None = LabelPyramid(path, writable=False)
    except StoreError:
        old = None
    new = path / _NEW
    for suffix in ("", *_LOGS):
        new.with_name(_NEW + suffix).unlink(missing_ok=True)
    salvage = Salvage(path / JOURNAL_FILE, new, _facts(path, old))
    journal = Journal(new, writable=True)
    try:
        redraw(path, journal, amend=lambda pixels: _amend(pixels, old, journal))
    finally:
        journal.close()
    return salvage.lost


def _facts(path: Path, old: LabelPyramid | None) -> dict[str, object]:
    """Return what the pixels tell of the store."""
    if old is None:
        return {"shape": _shape_of(path), "scale": [1.0, 1.0], "image": None}
    return {
        "shape": list(old.shape),
        "scale": [1.0, 1.0],
        "axes": "tczyx"[-len(old.shape) :],
        "image": None,
    }


def _shape_of(path: Path) -> list[int]:
    """Return the shape that the journal names, where the pixels cannot be opened."""
    try:
        journal = Journal(path / JOURNAL_FILE, writable=False)
    except StoreError as error:
        raise StoreError(
            f"{path}: neither the journal nor the pixels can be read", remedy="restore the store from a backup"
        ) from error
    try:
        return [int(n) for n in journal.meta("shape")]
    finally:
        journal.close()


def _amend(pixels: LabelPyramid, old: LabelPyramid | None, journal: Journal) -> None:
    """Let the object table say what the pixels show, then add what the old pixels show besides."""
    known = journal.changes.latest_rows()
    known |= journal.objects.rows([row.label for row in journal.objects.table()])
    scores = {(part.label, part.plane): part.predicted_iou for part in journal.objects.all_parts()}
    journal.replace_objects(*_measured(pixels, known, scores))
    if old is None or old.shape != pixels.shape:
        return
    details = {label: row.details() for label, row in known.items()}
    for plane in np.ndindex(*pixels.shape[:-2]):
        keep_plane(old, pixels, journal, tuple(int(i) for i in plane), details, scores)


def _measured(
    pixels: LabelPyramid, known: dict[int, ObjectRow], scores: Scores
) -> tuple[dict[int, ObjectRow], list[ObjectPlane]]:
    """Return a row for each object in the pixels, and one for each of its planes, with the details that are known."""
    rows: dict[int, ObjectRow] = {}
    parts: list[ObjectPlane] = []
    for index in np.ndindex(*pixels.shape[:-2]):
        plane = tuple(int(i) for i in index)
        there: dict[int, ObjectPlane] = {}
        for block in drawn_blocks([pixels], plane):
            for label, count, local in boxes_of(pixels.read(plane, block)):
                box = local.shift(block.y0, block.x0)
                part = there.get(label) or ObjectPlane(label, plane, 0, box, scores.get((label, plane)))
                there[label] = replace(part, area_px=part.area_px + count, box=part.box.union(box))
        for label, part in there.items():
            before = rows.get(label)
            if before is None:
                row = known.get(label) or ObjectRow(label, plane, 0, part.box, op=0)
                rows[label] = replace(row, plane=plane, area_px=part.area_px, box=part.box, n_planes=1)
            else:
                area, box = before.area_px + part.area_px, before.box.union(part.box)
                rows[label] = replace(before, area_px=area, box=box, n_planes=before.n_planes + 1)
        parts += there.values()
    orphans = {label: row for label, row in rows.items() if row.parent is not None and row.parent not in rows}
    return rows | {label: replace(row, parent=None) for label, row in orphans.items()}, parts
