"""Row of an object that lies on several planes, from what lies on each."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.rows import ObjectPlane, ObjectRow
from napari_sam.io.labels.journal.run_length import REMEDY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.io.labels.journal.journal import Journal


def combined_row(
    journal: Journal,
    label: int,
    before: ObjectRow | None,
    parts: Sequence[tuple[ObjectPlane | None, ObjectPlane | None]],
) -> ObjectRow | None:
    """Return the row of an object after some of its planes changed, or None if no pixel is left.

    The planes that did not change are only read where the row cannot follow from its predecessor: if a plane shrank
    or vanished, or its score rose.

    Parameters
    ----------
    journal : Journal
        The state before the change.
    label : int
        Id of the object.
    before : ObjectRow or None
        Its row before the change.
    parts : sequence of (ObjectPlane or None, ObjectPlane or None)
        What lay and lies on each plane that changed.

    Raises
    ------
    StoreError
        If the journal does not list the planes of the object.
    """
    kept = [after for _, after in parts if after is not None]
    lost = [part for part, _ in parts if part is not None]
    count = (before.n_planes if before else 0) + len(kept) - len(lost)
    if count <= 0:
        return None
    area = (before.area_px if before else 0) + sum(p.area_px for p in kept) - sum(p.area_px for p in lost)
    if before is None:
        return replace(_row_of(kept), label=label, area_px=area, n_planes=count, created=time.time())
    if len(lost) < before.n_planes:
        if all(_only_grew(part, after) for part, after in parts):
            kept.append(ObjectPlane(label, before.plane, 0, before.box, before.predicted_iou))
        else:
            changed = {part.plane for part in lost}
            kept += [part for part in journal.objects.planes_of(label) if part.plane not in changed]
    if not kept:
        raise StoreError(
            f"{journal.path}: object {label} lies on {before.n_planes} planes, of which {len(lost)} are listed",
            remedy=REMEDY,
        )
    row = _row_of(kept)
    score = row.predicted_iou if row.plane else before.predicted_iou
    return replace(before, plane=row.plane, area_px=area, box=row.box, n_planes=count, predicted_iou=score)


def _row_of(parts: Sequence[ObjectPlane]) -> ObjectRow:
    """Return a row with the first plane, the box and the lowest score of some planes of an object."""
    box = parts[0].box
    for part in parts[1:]:
        box = box.union(part.box)
    score = min((part.predicted_iou for part in parts if part.predicted_iou is not None), default=None)
    return ObjectRow(parts[0].label, min(part.plane for part in parts), 0, box, predicted_iou=score)


def _only_grew(before: ObjectPlane | None, after: ObjectPlane | None) -> bool:
    """Whether the box of a plane did not shrink and its score did not rise."""
    if before is None or after is None:
        return before is None
    weaker = before.predicted_iou is None or (
        after.predicted_iou is not None and after.predicted_iou <= before.predicted_iou
    )
    return after.box.contains(before.box) and weaker
