"""Write the linked objects of a stack into a label store, block by block, as one step of undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import CancelledError
from napari_sam.jobs.stacks.fill_gaps import added_objects
from napari_sam.jobs.stacks.link_stack import block_origin
from napari_sam.jobs.store_use import begin_writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.linking.plane_objects import Links, PlaneObjects
    from napari_sam.io.images.image_stack import ImageStack
    from napari_sam.io.labels.editing.run_writer import RunBegin, RunWriter
    from napari_sam.io.plane_files import PlaneFiles
    from napari_sam.jobs.stacks.stack_run import StackRun
    from napari_sam.jobs.write_objects import CommonDetails

_PARENTS, _PROPAGATED = "parents", "propagated"


@dataclass(frozen=True)
class StackTarget:
    """What is written, and where.

    Attributes
    ----------
    run : StackRun
        The run; what it has written before is in the journal of its store.
    files : PlaneFiles
        Pixels and tables of the planes.
    stack : ImageStack
        Says where the planes lie in the store.
    details : CommonDetails
        Model and category.
    """

    run: StackRun
    files: PlaneFiles
    stack: ImageStack
    details: CommonDetails


def write_stack(
    target: StackTarget,
    links: Links,
    progress: Callable[[], None],
    cancelled: Callable[[], bool] | None,
) -> range:
    """Write all objects and their parents; blocks that are written already are skipped.

    Parameters
    ----------
    target : StackTarget
        What is written, and where.
    links : Links
        Number of each object of each plane.
    progress : callable
        Called after each plane.
    cancelled : callable, optional
        Polled before each block.

    Returns
    -------
    range
        Ids of the objects; empty if there are none.

    Raises
    ------
    SettingsError
        If another number of objects was being written before.
    CancelledError
        If `cancelled()` returned True, or the run was undone meanwhile.
    """
    run = target.run
    overlap = str(run.record.asked["overlap"])
    writer = run.store.run_writer(run.record.run_id, overlap=overlap, plane=target.stack.leading(0))
    if writer.begun() is None and not links.count:  # without a change there is nothing to undo
        return range(run.store.next_label, run.store.next_label)
    begin, written = begin_writing(run.store, writer, run.record.asked, links.count)
    blocks = _BlockWriter(target, writer, begin, written)
    for position, (plane, numbers) in enumerate(sorted(links.numbers.items())):
        for block in blocks.missing(plane):
            if cancelled is not None and cancelled():
                raise CancelledError(
                    f"cancelled after {position} of {len(links.numbers)} planes were written",
                    remedy="continue with {resume=True}",
                )
            blocks.write(plane, block, numbers)
        progress()
    if links.parents and _PARENTS not in written:
        first = begin.first_label - 1
        parents = {first + child: first + parent for child, parent in links.parents.items()}
        writer.set_parents(parents, tile=_PARENTS, begin=begin)
    if _PROPAGATED not in written:
        propagated = _propagated_planes(target, links, begin.first_label - 1)
        if propagated:
            writer.write_note({_PROPAGATED: propagated}, tile=_PROPAGATED, begin=begin)
    return range(begin.first_label, begin.first_label + links.count)


def _propagated_planes(target: StackTarget, links: Links, offset: int) -> dict[str, list[list[int]]]:
    """Return the planes on which each object was drawn by following it, by its id, as JSON."""
    planes: dict[str, list[list[int]]] = {}
    for plane, numbers in sorted(links.numbers.items()):
        added = added_objects(target.run.files, target.files, plane)
        for number in numbers[added & (numbers > 0)].tolist():
            planes.setdefault(str(number + offset), []).append(list(target.stack.leading(plane)))
    return planes


class _BlockWriter:
    """Writes the blocks of the planes of a run."""

    def __init__(self, target: StackTarget, writer: RunWriter, begin: RunBegin, written: set[str]) -> None:
        self._files, self._stack, self._details = target.files, target.stack, target.details
        self._writer, self._begin, self._written = writer, begin, written
        self._vanished = np.array(sorted(writer.vanished_objects()) if written else [], np.int64)

    def missing(self, plane: int) -> list[tuple[int, int]]:
        """Return the blocks of a plane that are not written."""
        return [block for block in self._files.blocks(plane) if _name(plane, block) not in self._written]

    def write(self, plane: int, block: tuple[int, int], numbers: NDArray[np.int64]) -> None:
        """Write a block of a plane, if one of its objects is kept."""
        table = self._files.table(plane)
        labels = self._files.block(plane, block)
        ids = np.where(numbers > 0, numbers + (self._begin.first_label - 1), 0)
        drawn = np.where(np.isin(ids, self._vanished), 0, ids)
        index = np.searchsorted(table.labels, labels)
        pixels = np.where(labels > 0, np.append(drawn, 0)[index], 0)
        if pixels.any():
            self._writer.write(
                pixels,
                block_origin(block),
                tile=_name(plane, block),
                begin=self._begin,
                details=self._rows(table, ids, np.unique(index[labels > 0])),
                plane=self._stack.leading(plane),
            )

    def _rows(
        self, table: PlaneObjects, ids: NDArray[np.int64], present: NDArray[np.int64]
    ) -> dict[int, dict[str, object]]:
        """Return the rows of the objects of a block, by id."""
        rows: dict[int, dict[str, object]] = {}
        for index in present.tolist():
            label, score = int(ids[index]), float(table.score[index])
            if label and (label not in rows or score < float(str(rows[label]["predicted_iou"]))):
                rows[label] = {
                    "predicted_iou": score,
                    "model": self._details.model,
                    "category": self._details.category,
                }
        return rows


def _name(plane: int, block: tuple[int, int]) -> str:
    return "p{}b{}_{}".format(plane, *block)
