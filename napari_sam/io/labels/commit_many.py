"""Many objects in one change: drawn in memory one after the other, written once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.labels.edits import LARGEST_LABEL, inside, intersection, union
from napari_sam.io.labels.label_pyramid import SHARD_PX, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.labels.edits import Edit
    from napari_sam.io.labels.journal import Journal
    from napari_sam.io.labels.label_pyramid import Box

DUPLICATE, COVERED = -1, 0
_BLOCK_PX = 256  # a chunk
_DETAILS = ("predicted_iou", "stability_score", "model", "category")


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
        What the journal keeps of it, as `prediction_record` gives it; ``predicted_iou``, ``stability_score``,
        ``model`` and ``category`` become its row of the table.
    """

    mask: NDArray[np.bool_]
    bbox: Box
    record: dict[str, Any] = field(default_factory=dict)


class _Canvas:
    """The pixels that the objects touch, in blocks of 256, as the objects so far leave them."""

    def __init__(self, edit: Edit, bounds: Box) -> None:
        self._edit, self._bounds = edit, bounds
        self._blocks: dict[tuple[int, int], NDArray[np.uint32]] = {}
        self._changed: dict[tuple[int, int], list[Box]] = {}  # of each shard, the blocks that were drawn into

    def read(self, box: Box) -> NDArray[np.uint32]:
        out = np.empty((box[2] - box[0], box[3] - box[1]), np.uint32)
        for part, block, frame in self._parts(box):
            out[inside(part, box)] = block[inside(part, frame)]
        return out

    def write(self, box: Box, labels: NDArray[np.uint32]) -> None:
        for part, block, frame in self._parts(box):
            block[inside(part, frame)] = labels[inside(part, box)]
            self._changed.setdefault((part[0] // SHARD_PX, part[1] // SHARD_PX), []).append(part)

    def paint(self) -> None:
        """Hand all that was drawn to the change, one box for each shard."""
        for parts in self._changed.values():
            box = parts[0]
            for part in parts[1:]:
                box = union(box, part)
            known = {(p[0] // _BLOCK_PX, p[1] // _BLOCK_PX) for p in parts}

            def drawn(now: NDArray[np.uint32], part: Box, known: set[tuple[int, int]] = known) -> NDArray[np.uint32]:
                labels = now.copy()
                for key in known:
                    frame = self._frame(key)
                    shared = intersection(frame, part)
                    if shared is not None:
                        labels[inside(shared, part)] = self._blocks[key][inside(shared, frame)]
                return labels

            self._edit.paint(box, drawn)

    def _frame(self, key: tuple[int, int]) -> Box:
        y, x = key[0] * _BLOCK_PX, key[1] * _BLOCK_PX
        return y, x, min(y + _BLOCK_PX, self._bounds[2]), min(x + _BLOCK_PX, self._bounds[3])

    def _parts(self, box: Box) -> Iterator[tuple[Box, NDArray[np.uint32], Box]]:
        """Each part of a box that lies in one block, with the block and its own box."""
        for part in blocks(box, _BLOCK_PX):
            key = (part[0] // _BLOCK_PX, part[1] // _BLOCK_PX)
            frame = self._frame(key)
            if key not in self._blocks:
                self._blocks[key] = self._edit.read(frame)
            yield part, self._blocks[key], frame


def place_objects(
    edit: Edit,
    journal: Journal,
    bounds: Box,
    objects: Sequence[NewObject],
    overlap: str,
    nms: float | None,
    since: int,
) -> tuple[list[int], dict[int, dict[str, Any]]]:
    """Draw objects into a change, the first on top.

    Parameters
    ----------
    edit : Edit
        The change; its record gets those of the objects.
    journal : Journal
        Objects as they are, and which change made each.
    bounds : (int, int, int, int)
        The whole image.
    objects : sequence of NewObject
        What to draw.
    overlap : {"keep", "replace"}
        Whether objects of others keep their pixels; those of this run do.
    nms : float or None
        A mask whose IoU with an object of this run is at least this is left out.
    since : int
        The first id of this run. If the change's source names a ``run``, only what changes of the same run made
        counts as its own: others may have drawn meanwhile.

    Returns
    -------
    numbers : list of int
        Id of each object; `COVERED` if no pixel was free for it, `DUPLICATE` if `nms` left it out.
    details : dict of int to dict
        For `Edit.finish`.

    Raises
    ------
    LabelsError
        If the ids are used up.
    """
    canvas, ids = _Canvas(edit, bounds), _free_ids(journal, edit.change.next_before)
    own = _Own(journal, since, (edit.change.record.get("source") or {}).get("run"))
    numbers, details, records = [], {}, []
    for one in objects:
        labels = canvas.read(one.bbox)
        under = labels[one.mask]
        mine = own.areas_of(under)
        if nms is not None and _largest_iou(under, mine) >= nms:
            numbers.append(DUPLICATE)
            continue
        free = one.mask & ((labels == 0) | ((overlap == "replace") & ~np.isin(labels, list(mine))))
        if not free.any():
            numbers.append(COVERED)
            continue
        number = next(ids)
        canvas.write(one.bbox, np.where(free, np.uint32(number), labels))
        own.add(number, int(np.count_nonzero(free)))
        numbers.append(number)
        details[number] = {key: one.record.get(key) for key in _DETAILS}
        records.append({**one.record, "label": number, "overlap": overlap})
    canvas.paint()
    shared = {k: v for k, v in records[0].items() if all(r.get(k) == v for r in records)} if len(records) > 1 else {}
    edit.change.record |= {
        "duplicates": numbers.count(DUPLICATE),
        "covered": numbers.count(COVERED),
        "shared": shared,  # what is the same for all, said once
        "objects": [{k: v for k, v in r.items() if k not in shared} for r in records],
    }
    return numbers, details


class _Own:
    """Which objects are of this run: those of this change, and those that its earlier changes made."""

    def __init__(self, journal: Journal, since: int, run: Any) -> None:
        self._journal, self._since, self._run = journal, max(1, since), run
        self._areas: dict[int, int | None] = {}  # None: of another
        self._ops: dict[int, bool] = {}

    def add(self, label: int, area_px: int) -> None:
        """An object of this change."""
        self._areas[label] = area_px

    def areas_of(self, under: NDArray[np.uint32]) -> dict[int, int]:
        """Area in px of each object of this run among some labels."""
        found = np.unique(under[under >= self._since]).tolist()
        unknown = [label for label in found if label not in self._areas]
        for label, row in self._journal.objects(unknown).items():
            self._areas[label] = row["area_px"] if self._made(row["op"]) else None
        return {label: area for label in found if (area := self._areas[label]) is not None}

    def _made(self, op: int) -> bool:
        """Whether a change is of this run."""
        if self._run is None:
            return True
        if op not in self._ops:
            ((kind, record),) = self._journal.query("SELECT kind, record FROM ops WHERE id = ?", (op,))
            source = json.loads(record).get("source") if kind == "commits" else None
            self._ops[op] = isinstance(source, dict) and source.get("run") == self._run
        return self._ops[op]


def _largest_iou(under: NDArray[np.uint32], areas: dict[int, int]) -> float:
    """IoU of a mask with the object that it shares most with, given the labels under it and the objects' areas."""
    found, counts = np.unique(under, return_counts=True)
    shared = ((n, areas[v]) for v, n in zip(found.tolist(), counts.tolist(), strict=True) if v in areas)
    return max((n / (len(under) + area - n) for n, area in shared), default=0)


def _free_ids(journal: Journal, first: int) -> Iterator[int]:
    """Ids that no object has, from `first` on.

    Raises
    ------
    LabelsError
        After the last one.
    """
    number, taken = first, _taken(journal, first)
    following = next(taken, None)
    while number <= LARGEST_LABEL:
        if number == following:
            following = next(taken, None)
        else:
            yield number
        number += 1
    raise LabelsError(f"ids up to {LARGEST_LABEL} are used up; begin a new label store")


def _taken(journal: Journal, first: int, page: int = 1000) -> Iterator[int]:
    """Ids of objects from `first` on, ascending."""
    last = first - 1
    while found := journal.query("SELECT label FROM objects WHERE label > ? ORDER BY label LIMIT ?", (last, page)):
        for (last,) in found:
            yield int(last)
