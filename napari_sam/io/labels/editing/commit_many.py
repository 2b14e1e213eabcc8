"""Write many objects as one change: draw them in memory in order, then write once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal.rows import DETAIL_COLUMNS, LARGEST_LABEL
from napari_sam.io.labels.label_pyramid import SHARD_PX, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.labels.changes.edit import Edit
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Record

DUPLICATE, COVERED = -1, 0
_BLOCK_PX = 256  # a chunk


@dataclass(frozen=True)
class NewObject:
    """An object to write.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w).
    bbox : (int, int, int, int)
        (y0, x0, y1, x1) of `mask`, level-0 pixels, half-open, inside the image.
    record : dict
        Record for the journal, as `prediction_record` returns it; ``predicted_iou``, ``stability_score``, ``model``
        and ``category`` also become columns of the object table.
    """

    mask: NDArray[np.bool_]
    bbox: tuple[int, int, int, int]
    record: Record = field(default_factory=dict)


def place_objects(
    edit: Edit,
    journal: Journal,
    bounds: Box,
    objects: Sequence[NewObject],
    overlap: str,
    nms: float | None,
    since: int,
) -> tuple[list[int], dict[int, Record]]:
    """Draw objects into a change, the first on top.

    Parameters
    ----------
    edit : Edit
        The change; its record gets those of the objects.
    journal : Journal
        The objects that exist, and the change that made each.
    bounds : Box
        The whole image.
    objects : sequence of NewObject
        The objects to draw.
    overlap : {"keep", "replace"}
        Whether objects from outside this run keep their pixels; those of this run do.
    nms : float or None
        Leave out a mask whose IoU with an object of this run is at least this.
    since : int
        First id of this run. If the change belongs to a run with a key, only objects that changes of the same run
        made belong to it: others may have drawn meanwhile.

    Returns
    -------
    numbers : list of int
        Id of each object; `COVERED` if no pixel was free for it, `DUPLICATE` if `nms` left it out.
    details : dict of int to dict
        For `Edit.finish`.

    Raises
    ------
    LabelsError
        If no ids are left.
    """
    canvas, ids = _Canvas(edit, bounds), _free_ids(journal, edit.change.next_before)
    run = _RunObjects(journal, since, edit.change.run_id)
    numbers: list[int] = []
    details: dict[int, Record] = {}
    records: list[Record] = []
    for item in objects:
        box = Box(*item.bbox)
        labels = canvas.read(box)
        under = labels[item.mask]
        areas = run.areas_of(under)
        if nms is not None and _largest_iou(under, areas) >= nms:
            numbers.append(DUPLICATE)
            continue
        free = item.mask & ((labels == 0) if overlap == "keep" else ~np.isin(labels, list(areas)))
        if not free.any():
            numbers.append(COVERED)
            continue
        number = next(ids)
        canvas.write(box, np.where(free, np.uint32(number), labels))
        run.add(number, int(np.count_nonzero(free)))
        numbers.append(number)
        details[number] = {name: item.record.get(name) for name in DETAIL_COLUMNS}
        records.append({**item.record, "label": number, "overlap": overlap})
    canvas.paint()
    edit.change.record |= {
        "duplicates": numbers.count(DUPLICATE),
        "covered": numbers.count(COVERED),
        **_factored(records),
    }
    return numbers, details


def _factored(records: list[Record]) -> Record:
    """Return records with the entries that all of them share written once."""
    shared: Record = {}
    if len(records) > 1:
        shared = {key: value for key, value in records[0].items() if all(r.get(key) == value for r in records)}
    return {"shared": shared, "objects": [{k: v for k, v in r.items() if k not in shared} for r in records]}


class _Canvas:
    """Pixels under the objects drawn so far, in blocks of 256."""

    def __init__(self, edit: Edit, bounds: Box) -> None:
        self._edit, self._bounds = edit, bounds
        self._blocks: dict[tuple[int, int], NDArray[np.uint32]] = {}
        self._changed: dict[tuple[int, int], list[Box]] = {}  # of each shard, the blocks that were drawn into

    def read(self, box: Box) -> NDArray[np.uint32]:
        out = np.empty(box.shape, np.uint32)
        for part, block, frame in self._parts(box):
            out[part.slices_in(box)] = block[part.slices_in(frame)]
        return out

    def write(self, box: Box, labels: NDArray[np.uint32]) -> None:
        for part, block, frame in self._parts(box):
            block[part.slices_in(frame)] = labels[part.slices_in(box)]
            self._changed.setdefault((part.y0 // SHARD_PX, part.x0 // SHARD_PX), []).append(part)

    def paint(self) -> None:
        """Paint everything that was drawn into the change, one box for each shard."""
        for parts in self._changed.values():
            box = parts[0]
            for part in parts[1:]:
                box = box.union(part)
            keys = {_block_key(part) for part in parts}

            def draw(present: NDArray[np.uint32], part: Box, keys: set[tuple[int, int]] = keys) -> NDArray[np.uint32]:
                labels = present.copy()
                for key in keys:
                    frame = self._frame(key)
                    shared = frame.intersection(part)
                    if not shared.is_empty:
                        labels[shared.slices_in(part)] = self._blocks[key][shared.slices_in(frame)]
                return labels

            self._edit.paint(box, draw)

    def _frame(self, key: tuple[int, int]) -> Box:
        """Return the box of a block."""
        y, x = key[0] * _BLOCK_PX, key[1] * _BLOCK_PX
        return Box(y, x, min(y + _BLOCK_PX, self._bounds.y1), min(x + _BLOCK_PX, self._bounds.x1))

    def _parts(self, box: Box) -> Iterator[tuple[Box, NDArray[np.uint32], Box]]:
        """Iterate over the parts of a box that lie in one block each, with the block and its own box."""
        for part in blocks(box, _BLOCK_PX):
            key = _block_key(part)
            frame = self._frame(key)
            if key not in self._blocks:
                self._blocks[key] = self._edit.read(frame)
            yield part, self._blocks[key], frame


def _block_key(part: Box) -> tuple[int, int]:
    return part.y0 // _BLOCK_PX, part.x0 // _BLOCK_PX


class _RunObjects:
    """Objects of this run: those of this change and of its earlier changes."""

    def __init__(self, journal: Journal, since: int, run_id: str | None) -> None:
        self._journal, self._since, self._run_id = journal, max(1, since), run_id
        self._areas: dict[int, int | None] = {}  # None: from outside the run
        self._is_of_run: dict[int, bool] = {}  # by change

    def add(self, label: int, area_px: int) -> None:
        """Add an object of this change."""
        self._areas[label] = area_px

    def areas_of(self, under: NDArray[np.uint32]) -> dict[int, int]:
        """Return the area in pixels of each object of this run among some labels."""
        candidates = under[under >= self._since]
        if not len(candidates):
            return {}
        labels = np.unique(candidates).tolist()
        unknown = [label for label in labels if label not in self._areas]
        for label, row in self._journal.objects.rows(unknown).items():
            self._areas[label] = row.area_px if self._made(row.op) else None
        return {label: area for label in labels if (area := self._areas[label]) is not None}

    def _made(self, op: int | None) -> bool:
        """Whether this run made a change."""
        if self._run_id is None:
            return True
        if op is None:
            return False
        if op not in self._is_of_run:
            self._is_of_run[op] = self._journal.changes.run_of(op) == self._run_id
        return self._is_of_run[op]


def _largest_iou(under: NDArray[np.uint32], areas: dict[int, int]) -> float:
    """Return the IoU of a mask with the object that it overlaps most, given the labels under it and their areas."""
    labels, counts = np.unique(under, return_counts=True)
    shared = ((n, areas[v]) for v, n in zip(labels.tolist(), counts.tolist(), strict=True) if v in areas)
    return max((n / (len(under) + area - n) for n, area in shared), default=0)


def _free_ids(journal: Journal, first: int) -> Iterator[int]:
    """Iterate over the unused ids from `first` on.

    Raises
    ------
    LabelsError
        After the last one.
    """
    number, taken = first, journal.objects.labels_from(first)
    following = next(taken, None)
    while number <= LARGEST_LABEL:
        if number == following:
            following = next(taken, None)
        else:
            yield number
        number += 1
    raise LabelsError(f"ids up to {LARGEST_LABEL} are used up", remedy="begin a new label store")
