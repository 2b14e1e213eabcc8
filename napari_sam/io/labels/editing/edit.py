"""A change of the labels in preparation: pixels before and after, and the rows of the objects."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal.rows import LARGEST_LABEL, Change, ObjectRow, Patch, format_plane
from napari_sam.io.labels.journal.run_length import encode_labels
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.object_boxes import boxes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Plane, Record
    from napari_sam.io.labels.label_pyramid import LabelPyramid

    Details = Mapping[int, Mapping[str, object]]
    Paint = Callable[[NDArray[np.uint32], Box], NDArray[np.uint32]]

_STRIP_PX = 256  # an object's shrunken box is searched in strips of this width
_DECODED_PX = 1 << 23  # changed pixels that stay decoded, for objects that several parts of a change touch


class Edit:
    """Prepare one change of a label store; nothing is written yet.

    Parameters
    ----------
    pyramid : LabelPyramid
        The pixels before the change.
    journal : Journal
        The objects before the change.
    plane : tuple of int
        Index along the leading axes.
    kind : str
        Kind of the change.
    record : dict
        Action of the user, as JSON.
    """

    def __init__(self, pyramid: LabelPyramid, journal: Journal, plane: Plane, kind: str, record: Record) -> None:
        self._pyramid = pyramid
        self._journal = journal
        self.plane = plane
        next_label = journal.next_label()
        self.change = Change(kind, record, next_label, next_label)
        self._delta: dict[int, int] = {}
        self._lost: dict[int, Box] = {}
        self._gained: dict[int, Box] = {}
        self._decoded: list[NDArray[np.uint32] | None] = []

    @property
    def gained(self) -> list[int]:
        """Labels that gained pixels."""
        return sorted(self._gained)

    def read(self, box: Box) -> NDArray[np.uint32]:
        """Return the labels of a box including this change."""
        labels = self._pyramid.read(self.plane, box).copy()
        for patch, decoded in zip(self.change.patches, self._decoded, strict=True):
            overlap = patch.box.intersection(box)
            if not overlap.is_empty:
                after = patch.labels(after=True) if decoded is None else decoded
                labels[overlap.slices_in(box)] = after[overlap.slices_in(patch.box)]
        return labels

    def paint(self, box: Box, paint: Paint) -> int:
        """Change the pixels of a box.

        Parameters
        ----------
        box : Box
            Level-0 pixels, inside the image.
        paint : callable
            Takes the labels of a part of the box and the box of that part; returns the new labels.

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
            changed += self._add_patch(part, before, after, differs)
        return changed

    def _add_patch(
        self, part: Box, before: NDArray[np.uint32], after: NDArray[np.uint32], differs: NDArray[np.bool_]
    ) -> int:
        """Keep the changed part of a block, and count what each object lost and gained."""
        rows, cols = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        if not len(rows):
            return 0
        cut = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        before, after, differs = before[cut], after[cut], differs[cut]
        y0, x0 = part.y0 + int(rows[0]), part.x0 + int(cols[0])
        box = Box(y0, x0, y0 + before.shape[0], x0 + before.shape[1])
        self.change.patches.append(Patch(self.plane, box, encode_labels(before), encode_labels(after)))
        decoded_px = sum(labels.size for labels in self._decoded if labels is not None)
        self._decoded.append(after.copy() if decoded_px + after.size <= _DECODED_PX else None)
        for label, count, lost in boxes_of(np.where(differs, before, 0)):
            self._delta[label] = self._delta.get(label, 0) - count
            _extend(self._lost, label, lost.shift(y0, x0))
        for label, count, gained in boxes_of(np.where(differs, after, 0)):
            self._delta[label] = self._delta.get(label, 0) + count
            _extend(self._gained, label, gained.shift(y0, x0))
        return int(differs.sum())

    def finish(self, details: Details | None = None) -> Change:
        """Return the change with the rows of its objects.

        Parameters
        ----------
        details : mapping of int to mapping, optional
            Columns to set, such as category and scores, by label.

        Raises
        ------
        LabelsError
            If an object would lie on two planes.
        """
        details = details or {}
        labels = sorted({*self._delta, *details} - {0})
        known = self._journal.objects.rows(labels)
        for label in labels:
            before = known.get(label)
            if before is not None and before.plane != self.plane:
                raise LabelsError(
                    f"object {label} lies on plane {format_plane(before.plane)}, and an object belongs to one plane",
                    remedy=f"draw with a new id such as {self.change.next_before} (M in napari)",
                )
            after = self._row(label, before)
            if after is not None:
                after = after.with_details(details.get(label, {}))
            if after != before:
                self.change.rows[label] = (before, after)
            if after is not None and label < LARGEST_LABEL:
                self.change.next_after = max(self.change.next_after, label + 1)
        return self.change

    def _row(self, label: int, before: ObjectRow | None) -> ObjectRow | None:
        """Return an object's row after the change, or None if no pixel is left."""
        area = (before.area_px if before else 0) + self._delta.get(label, 0)
        if area <= 0:
            return None
        gained = self._gained.get(label)
        if before is None:
            return ObjectRow(label, self.plane, area, gained or Box(0, 0, 0, 0), created=time.time())
        box = before.box if gained is None else before.box.union(gained)
        if label in self._lost:
            box = self._shrunken(label, box, self._lost[label])
        return replace(before, area_px=area, box=box)

    def _shrunken(self, label: int, box: Box, lost: Box) -> Box:
        """Return the box of an object that lost pixels, read in strips from the sides that the loss touches."""
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
                lines = np.flatnonzero((self.read(Box(*strip)) == label).any(1 - axis))
                if len(lines):
                    sides[side] = strip[axis] + int(lines[-1] + 1 if far else lines[0])
                    break
                sides[side] = strip[axis] if far else strip[axis + 2]
        return Box(*sides)


def _extend(boxes: dict[int, Box], label: int, box: Box) -> None:
    """Extend the box of an object by another one."""
    boxes[label] = boxes[label].union(box) if label in boxes else box
