"""Draw all pixels of a store again, beside the old ones, and swap them when they are complete.

At any moment the process may end. The new pixels are drawn in a folder inside the store, which gets another name once
they are complete. From then on they are the pixels of the store, and whoever opens it for writing moves them to their
place.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.changes.draw_patches import draw_patches
from napari_sam.io.labels.changes.drawn_marks import write_marks
from napari_sam.io.labels.label_layout import LabelLayout
from napari_sam.io.labels.label_pyramid import LabelPyramid
from napari_sam.io.labels.level_checks import REDRAWN, dataset_paths
from src_models.atomic import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam.io.labels.journal.journal import Journal

_DRAFT = ".redrawn.part"


def redraw(
    path: Path,
    journal: Journal,
    progress: Callable[[int, int], None] | None = None,
    amend: Callable[[LabelPyramid], None] | None = None,
) -> None:
    """Draw all pixels again from the journal.

    Parameters
    ----------
    path : Path
        Folder of the store, of which the caller has the writer's lock.
    journal : Journal
        The changes.
    progress : callable, optional
        Called with the number of changes drawn and of all changes.
    amend : callable, optional
        Called with the new pixels before they replace the old ones.

    Raises
    ------
    StoreError
        If a change is damaged, or the pixels cannot be written; the old ones are then still there.
    """
    draft = path / _DRAFT
    try:
        shutil.rmtree(draft, ignore_errors=True)
        create_pixels(draft, journal, path)
        pyramid = LabelPyramid(draft, writable=True)
        ops = journal.changes.ops_in_effect()
        for done, op in enumerate(ops, start=1):
            draw_patches(pyramid, list(journal.changes.patches(op)), "redo")
            if progress is not None:
                progress(done, len(ops))
        if amend is not None:
            amend(pyramid)
        mark = journal.log_mark(journal.last_log_entry())
        write_marks(pyramid.folders, mark)
        shutil.rmtree(path / REDRAWN, ignore_errors=True)
        draft.replace(path / REDRAWN)
        sync_folder(path)
        install_redrawn(path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path}: the pixels cannot be drawn again: {error}", remedy="make room, and repair it"
        ) from error
    journal.set_rendered(mark.seq)


def create_pixels(folder: Path, journal: Journal, location: Path) -> None:
    """Make empty pixels in a folder, as those of the store at `location`."""
    LabelPyramid.create(folder, LabelLayout.from_meta(journal.meta), location)


def install_redrawn(path: Path) -> None:
    """Move complete new pixels to the place of the old ones; goes on where an earlier call was interrupted.

    Raises
    ------
    StoreError
        If the new pixels are damaged.
    OSError
        If they cannot be moved.
    """
    complete = path / REDRAWN
    if not complete.is_dir():
        return
    if (complete / "zarr.json").exists():  # moved last, because it names the levels
        for name in dataset_paths(complete):
            if (complete / name).is_dir():
                shutil.rmtree(path / name, ignore_errors=True)
                (complete / name).replace(path / name)
        (complete / "zarr.json").replace(path / "zarr.json")
        sync_folder(path)
    shutil.rmtree(complete, ignore_errors=True)


def is_interrupted(path: Path) -> bool:
    """Whether a store was being drawn again when its process ended."""
    return (path / _DRAFT).exists()


def discard_draft(path: Path) -> None:
    """Delete pixels that were not drawn to the end."""
    shutil.rmtree(path / _DRAFT, ignore_errors=True)
