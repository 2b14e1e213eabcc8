"""Write the merged objects of a whole-image run into a label store, tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import CancelledError
from napari_sam.jobs.store_use import begin_writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.tiling.merged_objects import MergedObjects
    from napari_sam.io.labels.editing.run_writer import RunBegin
    from napari_sam.jobs.image_run import ImageRun


@dataclass(frozen=True)
class CommonDetails:
    """What the object table holds of new objects besides their scores."""

    model: str
    category: str | None


def write_objects(
    run: ImageRun,
    objects: MergedObjects,
    details: CommonDetails,
    on_tile_written: Callable[[], None],
    cancelled: Callable[[], bool] | None,
) -> range:
    """Write all objects; tiles that are written already are skipped.

    Parameters
    ----------
    run : ImageRun
        The run; what it has written before is in the journal of its store.
    objects : MergedObjects
        The objects.
    details : CommonDetails
        Model and category.
    on_tile_written : callable
        Called after each tile.
    cancelled : callable, optional
        Polled before each tile.

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
    writer = run.writer
    if writer.begun() is None and not objects.count:  # without a change there is nothing to undo
        for _ in objects.tiles:
            on_tile_written()
        return range(run.store.next_label, run.store.next_label)
    begin, written = begin_writing(run.store, writer, run.record.asked, objects.count)
    table = _ObjectTable(objects, begin, details)
    deleted = writer.vanished_objects() if written else set()
    for index, tile in enumerate(objects.tiles):
        if cancelled is not None and cancelled():
            raise CancelledError(
                f"cancelled after {index} of {len(objects.tiles)} tiles were written",
                remedy="continue with {resume=True}",
            )
        if tile.name not in written and not objects.is_empty(index):
            labels, present = _tile_labels(objects.render_pixels(index), begin.first_label, deleted)
            writer.write(labels, tile.core[:2], tile=tile.name, begin=begin, details=table.rows(present))
        on_tile_written()
    return range(begin.first_label, begin.first_label + objects.count)


class _ObjectTable:
    """Rows of the object table, by id."""

    def __init__(self, objects: MergedObjects, begin: RunBegin, details: CommonDetails) -> None:
        self._iou, self._stability = objects.scores()
        self._first_label, self._details = begin.first_label, details

    def rows(self, labels: list[int]) -> dict[int, dict[str, object]]:
        """Return the rows of some objects."""
        return {label: self._row(label - self._first_label) for label in labels}

    def _row(self, index: int) -> dict[str, object]:
        return {
            "predicted_iou": float(self._iou[index]),
            "stability_score": float(self._stability[index]),
            "model": self._details.model,
            "category": self._details.category,
        }


def _tile_labels(
    numbers: NDArray[np.int64], first_label: int, deleted: set[int]
) -> tuple[NDArray[np.int64], list[int]]:
    """Return ids instead of numbers, without deleted objects, and all ids that the numbers stand for."""
    labels = np.where(numbers > 0, numbers + (first_label - 1), 0)
    present: list[int] = np.unique(labels[labels > 0]).tolist()
    labels[np.isin(labels, [label for label in present if label in deleted])] = 0
    return labels, present
