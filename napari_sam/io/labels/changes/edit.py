"""A change of the labels in preparation: pixels before and after, and the rows of the objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.io.labels.changes.combined_row import combined_row
from napari_sam.io.labels.journal.row_values import number
from napari_sam.io.labels.journal.rows import LARGEST_LABEL, Change, ObjectPlane, Patch
from napari_sam.io.labels.journal.run_length import encode_labels
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.object_boxes import boxes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import ObjectRow, Plane, PlaneBeforeAfter, Record
    from napari_sam.io.labels.label_pyramid import LabelPyramid

    Details = Mapping[int, Mapping[str, object]]
    Scores = Mapping[tuple[int, Plane], float | None]
    Paint = Callable[[NDArray[np.uint32], Box], NDArray[np.uint32]]

_STRIP_PX = 256  # an object's shrunken box is searched in strips of this width
_CELL_PX = 2048  # side of the blocks in which the ids of many objects are replaced
_DECODED_PX = 1 << 23  # changed pixels that stay decoded, for objects that several parts of a change touch


@dataclass
class _PlaneEdit:
    """What a change did to one plane: its patches, and the pixels that each object lost and gained."""

    patches: list[Patch] = field(default_factory=list)
    decoded: list[NDArray[np.uint32] | None] = field(default_factory=list)
    delta: dict[int, int] = field(default_factory=dict)
    lost: dict[int, Box] = field(default_factory=dict)
    gained: dict[int, Box] = field(default_factory=dict)

    def add(self, patch: Patch, after: NDArray[np.uint32]) -> None:
        """Keep a patch, and its pixels decoded as far as there is room."""
        self.patches.append(patch)
        decoded_px = sum(labels.size for labels in self.decoded if labels is not None)
        self.decoded.append(after.copy() if decoded_px + after.size <= _DECODED_PX else None)


class Edit:
    """Prepare one change of a label store; nothing is written yet.

    Parameters
    ----------
    pyramid : LabelPyramid
        The pixels before the change.
    journal : Journal
        The objects before the change.
    plane : tuple of int
        Index along the leading axes; `at` goes on to other planes.
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
        self._drawn: dict[Plane, _PlaneEdit] = {}

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane."""
        height, width = self._pyramid.shape[-2:]
        return height, width

    @property
    def gained(self) -> list[int]:
        """Labels that gained pixels."""
        return sorted({label for drawn in self._drawn.values() for label in drawn.gained})

    def at(self, plane: Plane) -> Edit:
        """Continue on another plane; what was painted before stays part of the change.

        Parameters
        ----------
        plane : tuple of int
            Index along the leading axes.

        Raises
        ------
        LabelsError
            If the store has no such plane.
        """
        if plane != self.plane:
            checked = self._pyramid.checked_plane(plane)
            if self.plane in self._drawn:
                self._drawn[self.plane].decoded = [None] * len(self._drawn[self.plane].decoded)
            self.plane = checked
        return self

    def read(self, box: Box) -> NDArray[np.uint32]:
        """Return the labels of a box of the current plane including this change."""
        labels = self._pyramid.read(self.plane, box).copy()
        drawn = self._drawn.get(self.plane)
        for patch, decoded in zip(drawn.patches, drawn.decoded, strict=True) if drawn else ():
            overlap = patch.box.intersection(box)
            if not overlap.is_empty:
                after = patch.labels(after=True) if decoded is None else decoded
                labels[overlap.slices_in(box)] = after[overlap.slices_in(patch.box)]
        return labels

    def paint(self, box: Box, paint: Paint) -> int:
        """Change the pixels of a box of the current plane.

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

    def replace_labels(self, new_labels: Mapping[int, int], parts: Iterable[ObjectPlane]) -> None:
        """Give the pixels of many objects other ids, reading each block of pixels once.

        Parameters
        ----------
        new_labels : mapping of int to int
            New id by old id; 0 makes the pixels background.
        parts : iterable of ObjectPlane
            What lies on the planes to change; no two blocks of a plane may have been painted before.
        """
        by_plane: dict[Plane, dict[tuple[int, int], Box]] = {}
        for part in parts:
            cells = by_plane.setdefault(part.plane, {})
            for block in blocks(part.box, _CELL_PX):
                cell = (block.y0 // _CELL_PX, block.x0 // _CELL_PX)
                cells[cell] = cells[cell].union(block) if cell in cells else block
        old = np.array(sorted(new_labels), np.uint32)
        new = np.array([new_labels[int(label)] for label in old], np.uint32)
        for plane, cells in by_plane.items():
            self.at(plane)
            painted = self.plane in self._drawn
            for _, block in sorted(cells.items()):
                before = self.read(block) if painted else self._pyramid.read(self.plane, block)
                index = np.minimum(np.searchsorted(old, before), len(old) - 1)
                after = np.where(old[index] == before, new[index], before)
                self._add_patch(block, before, after, before != after)

    def touch(self, label: int) -> None:
        """Let the change concern an object on the current plane even if no pixel differs, such as by its score."""
        self._drawn.setdefault(self.plane, _PlaneEdit()).delta.setdefault(label, 0)

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
        patch = Patch(self.plane, box, encode_labels(before), encode_labels(after))
        self.change.patches.append(patch)
        drawn = self._drawn.setdefault(self.plane, _PlaneEdit())
        drawn.add(patch, after)
        for label, count, lost in boxes_of(np.where(differs, before, 0)):
            drawn.delta[label] = drawn.delta.get(label, 0) - count
            _extend(drawn.lost, label, lost.shift(y0, x0))
        for label, count, gained in boxes_of(np.where(differs, after, 0)):
            drawn.delta[label] = drawn.delta.get(label, 0) + count
            _extend(drawn.gained, label, gained.shift(y0, x0))
        return int(differs.sum())

    def finish(
        self,
        details: Details | None = None,
        *,
        scores: Scores | None = None,
        renamed: Mapping[int, int] | None = None,
    ) -> Change:
        """Return the change with the rows of its objects.

        Parameters
        ----------
        details : mapping of int to mapping, optional
            Columns to set, such as category and scores, by label.
        scores : mapping of (int, tuple of int) to float or None, optional
            Predicted IoU of single planes of a stack, by label and plane, where it is not that of `details`.
        renamed : mapping of int to int, optional
            New ids of objects that get another one, by the old: their children descend from the new one.
        """
        touched = {label for drawn in self._drawn.values() for label in drawn.delta}
        labels = sorted({*touched, *(details or {})} - {0})
        known = self._journal.objects.rows(labels)
        parts = self._changed_parts(known, details or {}, scores or {})
        self.change.planes = [pair for pairs in parts.values() for pair in pairs if self.plane and pair[0] != pair[1]]
        for label in labels:
            before, set_columns = known.get(label), dict((details or {}).get(label, {}))
            after = before
            if label in parts:
                after = combined_row(self._journal, label, before, parts[label])
                if self.plane:
                    set_columns.pop("predicted_iou", None)  # the lowest of its planes
            if after is not None:
                after = after.with_details(set_columns)
            if after != before or any(first != then for first, then in parts.get(label, ()) if self.plane):
                self.change.rows[label] = (before, after)
            if after is not None and label < LARGEST_LABEL:
                self.change.next_after = max(self.change.next_after, label + 1)
        if self.plane:
            self._adopt_children(renamed or {})
        return self.change

    def _adopt_children(self, renamed: Mapping[int, int]) -> None:
        """Give the children of objects that vanish another parent: the one that took their place, or none."""
        rows = self.change.rows
        vanished = [label for label, (before, after) in rows.items() if before is not None and after is None]
        for child in self._journal.objects.children(vanished):
            before, after = rows.get(child.label, (child, child))
            heir = renamed.get(child.parent or 0)
            if after is not None and after.parent == child.parent:
                rows[child.label] = (before, replace(after, parent=None if heir == child.label else heir))

    def _changed_parts(
        self, rows: Mapping[int, ObjectRow], details: Details, scores: Scores
    ) -> dict[int, list[PlaneBeforeAfter]]:
        """Return what lay and lies on each plane of the objects that lost or gained pixels there, by label."""
        parts: dict[int, list[PlaneBeforeAfter]] = {}
        last = self.plane
        for plane, drawn in self._drawn.items():
            self.at(plane)
            labels = sorted(drawn.delta.keys() - {0})
            known = self._journal.objects.parts(labels, plane) if plane else {n: ObjectPlane.of(rows[n]) for n in rows}
            for label in labels:
                before = known.get(label)
                after = self._part(label, before, drawn)
                if after is not None:
                    given = details.get(label, {}).get("predicted_iou") if label in drawn.gained else None
                    score = scores.get((label, plane), after.predicted_iou if given is None else number(given))
                    after = replace(after, predicted_iou=score)
                parts.setdefault(label, []).append((before, after))
        self.at(last)
        return parts

    def _part(self, label: int, before: ObjectPlane | None, drawn: _PlaneEdit) -> ObjectPlane | None:
        """Return what lies on the current plane of an object after the change, or None if no pixel is left."""
        area = (before.area_px if before else 0) + drawn.delta[label]
        if area <= 0:
            return None
        gained = drawn.gained.get(label)
        if before is None:
            return ObjectPlane(label, self.plane, area, gained or Box(0, 0, 0, 0))
        box = before.box if gained is None else before.box.union(gained)
        if label in drawn.lost:
            box = self._shrunken(label, box, drawn.lost[label])
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
