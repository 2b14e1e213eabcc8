"""What people changed about the masks of a `LabelStore` that a whole-image run made."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.io.labels.label_store import LabelStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.labels.journal.rows import ObjectChange, ObjectOrigin, Patch

NOT_BY_PEOPLE = ("everything", "commits", "relabel", "category", "classes")
"""Kinds of changes that a program made, or that leave the mask alone."""
_RUNS = ("everything", "commits")


class Correction(NamedTuple):
    """An automatic mask and what a person made of it.

    Attributes
    ----------
    label : int
        Label that the run gave the object.
    iou : float
        IoU of the automatic and the final mask; 1 if unchanged, 0 if removed or merged into another object.
    outcome : str
        "kept", "changed" or "removed".
    plane : str
        Position along the leading axes; empty in a 2-D store.
    score : float or None
        Predicted IoU of the automatic mask.
    """

    label: int
    iou: float
    outcome: str
    plane: str
    score: float | None


def read_corrections(path: Path) -> Iterator[Correction]:
    """Compare the automatic masks of a label store with the final ones.

    Parameters
    ----------
    path : Path
        A label store.

    Yields
    ------
    Correction
        For each automatic object that a person has reviewed, changed or removed.

    Raises
    ------
    EvaluationError
        If the store has no automatic objects.
    """
    with LabelStore.open(path, "r") as store:
        automatic = _automatic_objects(store)
        if not automatic:
            raise EvaluationError(
                f"{path}: none of its objects was found by everything-mode; there is nothing to compare",
                remedy="give a store that everything-mode wrote",
            )
        reviewed = store.reviewed()
        existing = store.journal.objects.labels()
        changes = _changes_by_label(store)
        for label, origin in automatic.items():
            final_label, later = _follow(label, origin.op, changes)
            by_people = any(change.kind not in NOT_BY_PEOPLE for change in later)
            later = list(dropwhile(lambda change: change.kind in _RUNS, later))  # other tiles and planes of the object
            if final_label not in existing:
                if by_people:  # not if a later run replaced it
                    yield Correction(label, 0.0, "removed", origin.plane, origin.score)
            elif by_people or final_label in reviewed:
                iou = _iou_with_first(store, label, final_label, [change.op for change in later])
                outcome = "kept" if iou == 1 else "changed"
                yield Correction(label, iou, outcome, origin.plane, origin.score)


def _changes_by_label(store: LabelStore) -> dict[int, list[ObjectChange]]:
    """Return the changes in force of objects that existed before them, by label."""
    changes: dict[int, list[ObjectChange]] = {}
    for change in store.journal.changes.changes_of_objects():
        changes.setdefault(change.label, []).append(change)
    return changes


def _follow(label: int, number: int, changes: Mapping[int, Sequence[ObjectChange]]) -> tuple[int, list[ObjectChange]]:
    """Follow an object through its renamings after a change.

    Returns
    -------
    label : int
        Its final label.
    changes : list of ObjectChange
        Its later changes, under any label.
    """
    followed: list[ObjectChange] = []
    while True:
        later = [change for change in changes.get(label, ()) if change.op > number]
        renaming = next((change for change in later if change.new_label is not None), None)
        if renaming is None or renaming.new_label is None:
            return label, [*followed, *later]
        followed += [change for change in later if change.op <= renaming.op]
        number, label = renaming.op, renaming.new_label


def _automatic_objects(store: LabelStore) -> dict[int, ObjectOrigin]:
    """Return the changes by which whole-image runs made objects, by label."""
    return {origin.label: origin for origin in store.journal.changes.automatic_objects()}


def _iou_with_first(store: LabelStore, first_label: int, label: int, changes: Sequence[int]) -> float:
    """Return the IoU of an object's mask and that before some changes, which are reverted in memory."""
    journal = store.journal
    patches = [patch for number in changes for patch in journal.changes.patches(number)]
    boxes = {part.plane: part.box for part in journal.objects.planes_of(label)}
    for patch in patches:
        boxes[patch.plane] = boxes.get(patch.plane, patch.box).union(patch.box)
    extent = store.row(label).box
    first = journal.changes.row_before(first_label, changes[0]) if changes else None
    if first is not None:
        extent = extent.union(first.box)
    shared = union = 0
    for plane, box in boxes.items():
        inside = box.intersection(extent)
        if inside.is_empty:
            continue
        final = store.read(inside, plane=plane)
        before = _reverted(final, inside, [patch for patch in patches if patch.plane == plane])
        first_mask, mask = before == first_label, final == label
        shared += int(np.count_nonzero(first_mask & mask))
        union += int(np.count_nonzero(first_mask | mask))
    return shared / union if union else 1.0


def _reverted(labels: NDArray[np.uint32], box: Box, patches: Sequence[Patch]) -> NDArray[np.uint32]:
    """Return the labels of a box before some changes of its plane, given their patches in order."""
    before = labels.copy()
    for patch in reversed(patches):
        common = box.intersection(patch.box)
        if not common.is_empty:
            before[common.slices_in(box)] = patch.labels(after=False)[common.slices_in(patch.box)]
    return before
