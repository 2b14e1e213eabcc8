"""How a change of the labels is made: pixels before and after, and what it does to the objects' rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal import Change, Patch
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.labels.run_length import encode_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.io.labels.journal import Journal, Row
    from napari_sam.io.labels.label_pyramid import Box, LabelPyramid

    Paint = Callable[[NDArray[np.uint32], Box], NDArray[np.uint32]]

LARGEST_LABEL = int(np.iinfo(np.uint32).max)
_STRIP_PX = 256  # an object's box is found again in strips of this width
_KEPT_PX = 1 << 23  # changed pixels that are held decoded, for objects that several parts of a change touch


class Edit:
    """Gathers one change of a label store; nothing is written until the journal has it.

    Parameters
    ----------
    pyramid : LabelPyramid
        The pixels as they are.
    journal : Journal
        The objects as they are.
    plane : tuple of int
        Index along the leading axes.
    kind : str
        What the change is called.
    record : dict
        What the user did.
    """

    def __init__(
        self, pyramid: LabelPyramid, journal: Journal, plane: tuple[int, ...], kind: str, record: dict[str, Any]
    ) -> None:
        self._pyramid = pyramid
        self._journal = journal
        self.plane = plane
        next_label = next_free(journal)
        self.change = Change(kind, record, next_label, next_label)
        self._delta: dict[int, int] = {}
        self._lost: dict[int, Box] = {}
        self._decoded: list[NDArray[np.uint32] | None] = []
        self._gained: dict[int, Box] = {}

    @property
    def gained(self) -> list[int]:
        """Labels that got pixels."""
        return sorted(self._gained)

    def read(self, box: Box) -> NDArray[np.uint32]:
        """Pixels of a box as this change leaves them so far."""
        labels = self._pyramid.read(self.plane, box).copy()
        for patch, kept in zip(self.change.patches, self._decoded, strict=True):
            overlap = intersection(box, patch.box)
            if overlap is not None:
                after = patch.labels(after=True) if kept is None else kept
                labels[inside(overlap, box)] = after[inside(overlap, patch.box)]
        return labels

    def paint(self, box: Box, paint: Paint) -> int:
        """Change the pixels of a box.

        Parameters
        ----------
        box : (int, int, int, int)
            (y0, x0, y1, x1), level-0 pixels, half-open, inside the image.
        paint : callable
            Given the labels of a part of the box and that part's own box, returns the new labels.

        Returns
        -------
        int
            Number of pixels that changed.
        """
        changed = 0
        for part in blocks(box):
            before = self.read(part)
            after = np.asarray(paint(before, part), np.uint32)
            differs = before != after
            changed += self._note(part, before, after, differs)
        return changed

    def _note(
        self, part: Box, before: NDArray[np.uint32], after: NDArray[np.uint32], differs: NDArray[np.bool_]
    ) -> int:
        """Keep the changed part of a block, and count what each object lost and gained."""
        rows, cols = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        if not len(rows):
            return 0
        cut = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        before, after, differs = before[cut], after[cut], differs[cut]
        y0, x0 = part[0] + int(rows[0]), part[1] + int(cols[0])
        box = (y0, x0, y0 + before.shape[0], x0 + before.shape[1])
        self.change.patches.append(Patch(self.plane, box, encode_labels(before), encode_labels(after)))
        kept = sum(part.size for part in self._decoded if part is not None)
        self._decoded.append(after.copy() if kept + after.size <= _KEPT_PX else None)
        for label, count, found in boxes_of(np.where(differs, before, 0)):
            self._delta[label] = self._delta.get(label, 0) - count
            _grow(self._lost, label, found, (y0, x0))
        for label, count, found in boxes_of(np.where(differs, after, 0)):
            self._delta[label] = self._delta.get(label, 0) + count
            _grow(self._gained, label, found, (y0, x0))
        return int(differs.sum())

    def finish(self, details: dict[int, Row] | None = None) -> Change:
        """The change with its objects' rows.

        Parameters
        ----------
        details : dict of int to Row, optional
            Columns to set, such as category and scores, by label.
        """
        details = details or {}
        labels = sorted({*self._delta, *details} - {0})
        known = self._journal.objects(labels)
        for label in labels:
            before = known.get(label)
            if before is not None and before["plane"] != _text(self.plane):
                raise LabelsError(
                    f"object {label} lies on plane {before['plane']}, and an object belongs to one; draw with a new "
                    f"id such as {self.change.next_before} (M in napari)"
                )
            after = self._row(label, before)
            if after is not None:
                after |= details.get(label, {})
            if after != before:
                self.change.rows[label] = (before, after)
            if after is not None and label < LARGEST_LABEL:
                self.change.next_after = max(self.change.next_after, label + 1)
        return self.change

    def _row(self, label: int, before: Row | None) -> Row | None:
        """An object's row after the change; None if no pixel of it is left."""
        area = (before["area_px"] if before else 0) + self._delta.get(label, 0)
        if area <= 0:
            return None
        gained = self._gained.get(label)
        if before is None:
            y0, x0, y1, x1 = gained or (0, 0, 0, 0)
            row: Row = {"label": label, "plane": _text(self.plane), "created": time.time()}
            row |= dict.fromkeys(("category", "predicted_iou", "stability_score", "model"))
            return {**row, "area_px": area, "y0": y0, "x0": x0, "y1": y1, "x1": x1}
        box = (before["y0"], before["x0"], before["y1"], before["x1"])
        if gained is not None:
            box = union(box, gained)
        if label in self._lost:
            box = self._shrunk(label, box, self._lost[label])
        y0, x0, y1, x1 = box
        return {**before, "area_px": area, "y0": y0, "x0": x0, "y1": y1, "x1": x1}

    def _shrunk(self, label: int, box: Box, lost: Box) -> Box:
        """The box of an object that lost pixels, read in strips from the sides that the loss touches."""
        sides = list(box)
        for side in range(4):
            if lost[side] != box[side]:
                continue
            axis, far = side % 2, side >= 2
            while sides[axis] < sides[axis + 2]:
                strip = list(sides)
                if far:
                    strip[axis] = max(sides[axis], sides[axis + 2] - _STRIP_PX)
                else:
                    strip[axis + 2] = min(sides[axis + 2], sides[axis] + _STRIP_PX)
                found = (self.read((strip[0], strip[1], strip[2], strip[3])) == label).any(1 - axis)
                at = np.flatnonzero(found)
                if len(at):
                    sides[side] = strip[axis] + int(at[-1] + 1 if far else at[0])
                    break
                sides[side] = strip[axis] if far else strip[axis + 2]
        return sides[0], sides[1], sides[2], sides[3]


def next_free(journal: Journal) -> int:
    """Id of the next object: one more than the highest so far, or the lowest that is free."""
    label = int(journal.meta("next_label"))
    if not journal.objects([label]):
        return label
    gap = (
        "SELECT label + 1 FROM objects AS a WHERE NOT EXISTS "
        "(SELECT 1 FROM objects AS b WHERE b.label = a.label + 1) ORDER BY label LIMIT 1"
    )
    return int(journal.query(gap)[0][0])


def boxes_of(labels: NDArray[Any]) -> list[tuple[int, int, Box]]:
    """Label, number of pixels and box of everything in a label image but background.

    >>> boxes_of(np.array([[0, 5, 5], [0, 0, 5]]))
    [(5, 3, (0, 1, 2, 3))]
    """
    width = labels.shape[1]
    starts = np.ones(labels.shape, bool)  # of runs within a row, which are far fewer than pixels
    np.not_equal(labels[:, 1:], labels[:, :-1], out=starts[:, 1:])
    at = np.flatnonzero(starts)
    lengths = np.diff(np.append(at, labels.size))
    values = labels.ravel()[at]
    full = values != 0
    values, (y, x), lengths = values[full], np.divmod(at[full], width), lengths[full]
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    values, y, x, lengths = values[order], y[order], x[order], lengths[order]
    first = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    counts = np.add.reduceat(lengths, first)
    low = (np.minimum.reduceat(y, first), np.minimum.reduceat(x, first))
    high = (np.maximum.reduceat(y, first) + 1, np.maximum.reduceat(x + lengths, first))
    table = np.stack([values[first].astype(np.int64), counts, *low, *high], axis=1).tolist()
    return [(v, n, (y0, x0, y1, x1)) for v, n, y0, x0, y1, x1 in table]


def _grow(boxes: dict[int, Box], label: int, found: Box, origin: tuple[int, int]) -> None:
    """Add a box, found in an array that begins at `origin`, to an object's."""
    y, x = origin
    moved = (found[0] + y, found[1] + x, found[2] + y, found[3] + x)
    boxes[label] = union(boxes[label], moved) if label in boxes else moved


def union(a: Box, b: Box) -> Box:
    """The smallest box around two."""
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def intersection(a: Box, b: Box) -> Box | None:
    """What two boxes share, or None."""
    box = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return box if box[0] < box[2] and box[1] < box[3] else None


def inside(box: Box, frame: Box) -> tuple[slice, slice]:
    """Index of a box in the array of a frame that holds it."""
    y, x = frame[:2]
    return slice(box[0] - y, box[2] - y), slice(box[1] - x, box[3] - x)


def _text(plane: tuple[int, ...]) -> str:
    return ",".join(str(p) for p in plane)


def box_of(row: Row) -> Box:
    """(y0, x0, y1, x1) of an object."""
    return int(row["y0"]), int(row["x0"]), int(row["y1"]), int(row["x1"])


def plane_of(row: Row) -> tuple[int, ...]:
    """Index of an object's plane along the leading axes."""
    return tuple(int(p) for p in str(row["plane"]).split(",") if p)
