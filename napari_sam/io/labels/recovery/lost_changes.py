"""Changes that the journal has lost and the pixels still show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import StoreError
from napari_sam.io.labels.changes.draw_patches import draw_patches
from napari_sam.io.labels.changes.edit import Edit
from napari_sam.io.labels.label_pyramid import SHARD_PX, LabelPyramid
from napari_sam.io.labels.recovery.redraw import redraw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.io.labels.changes.edit import Details, Scores
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import LogMark, Plane

KIND = "recovered"


def lost_after(journal: Journal, marks: list[LogMark]) -> int | None:
    """Return the last entry of the log that journal and pixels can have in common; None if nothing is lost.

    Parameters
    ----------
    journal : Journal
        The changes.
    marks : list of LogMark
        The entries up to which the levels are drawn, read before the journal.
    """
    newest = max(marks, key=lambda mark: mark.seq, default=None)
    if newest is None or newest.seq == 0 or journal.log_mark(newest.seq) == newest:
        return None
    return min(journal.last_log_entry(), newest.seq - 1)


def recover(path: Path, journal: Journal) -> str:
    """Draw the pixels from the journal, then keep what the old pixels show besides as one change of their own.

    Parameters
    ----------
    path : Path
        Folder of the store, of which the caller has the writer's lock.
    journal : Journal
        The changes.

    Returns
    -------
    str
        What was kept.
    """
    try:
        old: LabelPyramid | None = LabelPyramid(path, writable=False)
    except StoreError:
        old = None
    kept = 0

    def amend(new: LabelPyramid) -> None:
        nonlocal kept
        if old is None or old.shape != new.shape:
            return
        for plane in np.ndindex(*new.shape[:-2]):
            kept += keep_plane(old, new, journal, tuple(int(i) for i in plane), {}, {})

    redraw(path, journal, amend=amend)
    if not kept:
        return "the pixels were drawn again from what is left"
    return f"what they had drawn, {kept} px, is kept as the change {KIND!r}, without its prompts"


def keep_plane(
    old: LabelPyramid,
    new: LabelPyramid,
    journal: Journal,
    plane: Plane,
    details: Details,
    scores: Scores,
) -> int:
    """Add the pixels of a plane that differ to the journal, and draw them.

    Parameters
    ----------
    old, new : LabelPyramid
        The pixels of the store, and those that the journal gives.
    journal : Journal
        The changes.
    plane : tuple of int
        Index along the leading axes.
    details : mapping of int to mapping
        Columns of objects that are known, by label.
    scores : mapping of (int, tuple of int) to float or None
        Scores of objects on single planes that are known.

    Returns
    -------
    int
        Number of pixels that differ.
    """
    edit = Edit(new, journal, plane, KIND, {})
    changed = 0
    for block in drawn_blocks([old, new], plane):
        try:
            pixels = old.read(plane, block)
        except StoreError:
            continue  # damaged: the journal's pixels are all there is

        def paint(
            _: NDArray[np.uint32], part: Box, pixels: NDArray[np.uint32] = pixels, block: Box = block
        ) -> NDArray[np.uint32]:
            return pixels[part.slices_in(block)]

        changed += edit.paint(block, paint)
    change = edit.finish({label: details[label] for label in edit.gained if label in details}, scores=scores)
    if change.patches:
        journal.add(change, journal.rendered())
        draw_patches(new, change.patches, "do")
    return changed


def drawn_blocks(pyramids: Sequence[LabelPyramid], plane: Plane) -> Iterator[Box]:
    """Iterate over the shards of level 0 of which one of the pyramids, all of one shape, has a file."""
    height, width = pyramids[0].shape[-2:]
    found = set()
    for pyramid in pyramids:
        folder = pyramid.folders[0].joinpath("c", *map(str, plane))
        found |= {
            (int(shard.parent.name), int(shard.name))
            for shard in folder.glob("*/*")
            if shard.name.isdigit() and shard.parent.name.isdigit()
        }
    for i, j in sorted(found):
        box = Box(i * SHARD_PX, j * SHARD_PX, min(height, (i + 1) * SHARD_PX), min(width, (j + 1) * SHARD_PX))
        if box.y0 < height and box.x0 < width:
            yield box
