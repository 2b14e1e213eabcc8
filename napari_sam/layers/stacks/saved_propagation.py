"""A saved object as it was followed, so that it can be corrected on all its planes; and back into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.plane_mask import PackedMask, PlaneMask
from napari_sam.engine.propagation.propagation import Propagation
from napari_sam.errors import CancelledError, LabelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.engine.propagation.propagation import StackPosition
    from napari_sam.io.labels.editing.commit_planes import MaskAndBox, PlaneMasks, Scored
    from napari_sam.io.labels.journal.rows import ObjectPlane, Plane
    from napari_sam.io.labels.label_store import LabelStore

PROPAGATED = "propagated"
"""Event of a plane on which a run over the stack followed an object that it did not find there."""

_DRAWN = 1.0  # score of a plane that no network gave one


def axis_of(parts: Sequence[ObjectPlane], default: int) -> int:
    """Return the leading axis along which an object has the most planes; `default` if it lies on one plane."""
    counts = [len({part.plane[axis] for part in parts}) for axis in range(len(parts[0].plane))] if parts else []
    most = max(counts, default=1)
    return counts.index(most) if most > 1 else default


def saved_propagation(
    store: LabelStore, label: int, stack: StackPosition, cancelled: Callable[[], bool] | None = None
) -> Propagation:
    """Return a saved object on its planes along one axis.

    Parameters
    ----------
    store : LabelStore
        Store of the object.
    label : int
        Its id.
    stack : StackPosition
        The axis, and the position along the others.
    cancelled : callable, optional
        Called before each plane; return True to stop.

    Raises
    ------
    LabelsError
        If it does not exist, or has no plane at this position along the other axes.
    CancelledError
        If `cancelled()` returned True.
    """
    records = {}
    for part in _along(store.journal.objects.planes_of(label), stack):
        if cancelled is not None and cancelled():
            raise CancelledError(f"object {label} was not read to the end")
        mask, box = store.mask(label, part.plane)
        score = _DRAWN if part.predicted_iou is None else part.predicted_iou
        plane = part.plane[stack.position]
        records[plane] = PackedMask.of(PlaneMask(plane, mask, box, score))
    if not records:
        raise LabelsError(f"object {label} is not on plane {stack.leading}", remedy="go to a plane where it is")
    marked = store.journal.changes.propagated_planes(label)
    events = {plane: (PROPAGATED,) for plane in records if stack.index(plane) in marked}
    return Propagation(stack, {}, records, events=events, model=store.row(label).model or "")


def changed_planes(store: LabelStore, label: int, corrected: Propagation) -> PlaneMasks:
    """Return the planes of a corrected object as `LabelStore.commit_planes` takes them.

    Planes on which the object is no longer have an empty mask, which removes it there.
    """
    planes: dict[int | Plane, MaskAndBox | Scored] = {
        corrected.index(plane): (*corrected.mask(plane), corrected.scores[plane]) for plane in corrected.planes
    }
    nothing = (np.zeros((1, 1), bool), Box(0, 0, 1, 1), 0.0)
    for part in _along(store.journal.objects.planes_of(label), corrected.stack):
        planes.setdefault(part.plane, nothing)
    return planes


def write_planes(
    store: LabelStore,
    followed: Propagation,
    overlap: str = "keep",
    parent: int | None = None,
    label: int | None = None,
    *,
    category: str | None = None,
) -> int:
    """Write an object that was followed, or give the saved object `label` these planes; return its id.

    A new object gets the class `category`. Raises as `LabelStore.commit_planes` does.
    """
    if label is None:
        return store.commit_planes(followed, None, overlap, category, parent=parent)
    return store.commit_planes(changed_planes(store, label, followed), label, overlap, parent=parent)


def _along(parts: Sequence[ObjectPlane], stack: StackPosition) -> list[ObjectPlane]:
    """Return the parts that lie on the planes of a stack."""
    return [part for part in parts if part.plane == stack.index(part.plane[stack.position])]
