"""What people changed about the masks of a `LabelStore` that a whole-image run made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import EvaluationError
from napari_sam.io.labels.edits import box_of, plane_of
from napari_sam.io.labels.label_store import LabelStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_NOT_BY_PEOPLE = ("everything", "commits", "relabel", "category")
"""Kinds of changes that a program made, or that leave the mask alone."""


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
    """

    label: int
    iou: float
    outcome: str
    plane: str


class _Change(NamedTuple):
    """A change of an object: its number, its kind, and the new label if it renamed the object."""

    number: int
    kind: str
    new_label: int | None


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
                f"{path}: none of its objects was found by everything-mode; there is nothing to compare"
            )
        reviewed = store.reviewed()
        existing = {int(label) for (label,) in store.rows_of("SELECT label FROM objects")}
        changes = _changes_by_label(store)
        for label, (operation, plane) in automatic.items():
            final_label, later = _follow(label, operation, changes)
            by_people = any(change.kind not in _NOT_BY_PEOPLE for change in later)
            if final_label not in existing:
                if by_people:  # not if a later run replaced it
                    yield Correction(label, 0.0, "removed", plane)
            elif by_people or final_label in reviewed:
                iou = _iou_with_first(store, label, final_label, [change.number for change in later])
                yield Correction(label, iou, "kept" if iou == 1 else "changed", plane)


def _changes_by_label(store: LabelStore) -> dict[int, list[_Change]]:
    """Return the changes in force of objects that existed before them, by label."""
    rows = store.rows_of(
        "SELECT rows.label, ops.id, kind, CASE kind WHEN 'relabel' THEN json_extract(record, '$.new') END "
        "FROM ops JOIN rows ON rows.op = ops.id WHERE state = 'done' AND rows.before IS NOT NULL ORDER BY ops.id"
    )
    changes: dict[int, list[_Change]] = {}
    for label, number, kind, new_label in rows:
        change = _Change(int(number), str(kind), None if new_label is None else int(new_label))
        changes.setdefault(int(label), []).append(change)
    return changes


def _follow(label: int, number: int, changes: Mapping[int, Sequence[_Change]]) -> tuple[int, list[_Change]]:
    """Follow an object through its renamings after a change.

    Returns
    -------
    label : int
        Its final label.
    changes : list of _Change
        Its later changes, under any label.
    """
    followed: list[_Change] = []
    while True:
        later = [change for change in changes.get(label, ()) if change.number > number]
        renaming = next((change for change in later if change.new_label is not None), None)
        if renaming is None or renaming.new_label is None:
            return label, [*followed, *later]
        followed += [change for change in later if change.number <= renaming.number]
        number, label = renaming.number, renaming.new_label


def _automatic_objects(store: LabelStore) -> dict[int, tuple[int, str]]:
    """Return the objects that whole-image runs made: the number of the change that made each, and its plane."""
    rows = store.rows_of(
        "SELECT rows.label, min(ops.id), json_extract(rows.after, '$.plane') FROM rows JOIN ops ON ops.id = rows.op "
        "WHERE ops.kind IN ('everything', 'commits') AND ops.state = 'done' AND rows.before IS NULL GROUP BY rows.label"
    )
    return {int(label): (int(number), str(plane or "")) for label, number, plane in rows}


def _iou_with_first(store: LabelStore, first_label: int, label: int, changes: Sequence[int]) -> float:
    """Return the IoU of an object's mask and that before some changes, which are reverted in memory."""
    row = store.object(label)
    plane, box = plane_of(row), Box(*box_of(row))
    patches = [patch for number in changes for patch in store.patches_of(number) if patch.plane == plane]
    first = (
        store.rows_of("SELECT before FROM rows WHERE label = ? AND op = ?", (first_label, changes[0]))
        if changes
        else []
    )
    if first and first[0][0]:
        box = box.union(box_of(json.loads(first[0][0])))
    final = store.read(box, plane=plane)
    before = final.copy()
    for patch in reversed(patches):
        frame = Box(*patch.box)
        common = box.intersection(frame)
        if not common.is_empty:
            labels = patch.labels(after=False)
            before[common.shift(-box.y0, -box.x0).slices] = labels[common.shift(-frame.y0, -frame.x0).slices]
    first_mask, mask = before == first_label, final == label
    union = int(np.count_nonzero(first_mask | mask))
    return int(np.count_nonzero(first_mask & mask)) / union if union else 1.0
