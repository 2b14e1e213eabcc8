"""Link the objects of the planes of a run, and leave out those that existing objects cover."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.linking.count_overlaps import OverlapCounter
from napari_sam.engine.linking.link_frames import link_frames
from napari_sam.engine.linking.link_planes import link_planes
from napari_sam.engine.linking.link_settings import PlaneLinking
from napari_sam.errors import CancelledError
from napari_sam.io.plane_files import BLOCK_PX

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.linking.link_settings import FrameLinking
    from napari_sam.engine.linking.plane_objects import Links, PlaneObjects, PlaneOverlap
    from napari_sam.io.images.image_stack import ImageStack
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.plane_files import PlaneFiles

_EXISTING_SHARE = 0.5  # a new object is left out if existing objects cover at least this share of it


def link_stack(
    files: PlaneFiles,
    linking: PlaneLinking | FrameLinking,
    progress: Callable[[], None],
    cancelled: Callable[[], bool] | None,
) -> Links:
    """Link the planes whose objects are on disk.

    Parameters
    ----------
    files : PlaneFiles
        The planes; their overlaps are counted block by block, and kept.
    linking : PlaneLinking or FrameLinking
        Settings, and whether the planes are those of a volume or of a movie.
    progress : callable
        Called after each plane.
    cancelled : callable, optional
        Polled before each plane.

    Returns
    -------
    Links

    Raises
    ------
    CancelledError
        If `cancelled()` returned True; overlaps that are counted are kept.
    """
    objects = [files.table(plane) for plane in files.planes()]
    overlaps = []
    for position, first in enumerate(objects):
        if cancelled is not None and cancelled():
            raise CancelledError(
                f"cancelled after {position} of {len(objects)} planes were compared",
                remedy="continue with {resume=True}",
            )
        overlaps += [_overlap(files, first, other) for other in objects[position + 1 : position + 2 + linking.max_gap]]
        progress()
    if isinstance(linking, PlaneLinking):
        return link_planes(objects, overlaps, linking)
    return link_frames(objects, overlaps, linking)


def without_covered(links: Links, files: PlaneFiles, store: LabelStore, stack: ImageStack) -> Links:
    """Leave out the linked objects half of whose pixels belong to objects that a store already has.

    Parameters
    ----------
    links : Links
        The linked objects.
    files : PlaneFiles
        Their pixels.
    store : LabelStore
        The store.
    stack : ImageStack
        Says where the planes lie in the store.
    """
    covered, area = np.zeros(links.count + 1, np.int64), np.zeros(links.count + 1, np.int64)
    for plane, numbers in links.numbers.items():
        table = files.table(plane)
        np.add.at(area, numbers, table.area)
        leading = stack.leading(plane)
        for block in files.blocks(plane):
            labels = files.block(plane, block)
            box = block_box(block, labels)
            if store.journal.objects.any_in_box(box, leading):
                taken = labels[store.read(box, plane=leading) > 0]
                index = np.searchsorted(table.labels, taken[taken > 0])
                covered += np.bincount(numbers[index], minlength=len(covered))
    kept = covered < _EXISTING_SHARE * np.maximum(area, 1)
    kept[0] = False
    renumbered = np.where(kept, np.cumsum(kept), 0)
    return replace(
        links,
        numbers={plane: renumbered[numbers] for plane, numbers in links.numbers.items()},
        parents={
            int(renumbered[child]): int(renumbered[parent])
            for child, parent in links.parents.items()
            if kept[child] and kept[parent]
        },
    )


def block_box(block: tuple[int, int], labels: NDArray[np.uint32]) -> Box:
    """Return the box of a block, level-0 pixels."""
    y, x = block_origin(block)
    return Box(y, x, y + labels.shape[0], x + labels.shape[1])


def block_origin(block: tuple[int, int]) -> tuple[int, int]:
    """Return the (y, x) of the first pixel of a block, level 0."""
    return block[0] * BLOCK_PX, block[1] * BLOCK_PX


def _overlap(files: PlaneFiles, first: PlaneObjects, second: PlaneObjects) -> PlaneOverlap:
    """Return the overlap of two planes, from disk or counted block by block."""
    known = files.overlap(first.plane, second.plane)
    if known is not None:
        return known
    counter = OverlapCounter(first.labels, second.labels)
    for block in sorted(set(files.blocks(first.plane)) & set(files.blocks(second.plane))):
        counter.add(files.block(first.plane, block), files.block(second.plane, block))
    overlap = counter.result(first.plane, second.plane)
    files.write_overlap(overlap)
    return overlap
