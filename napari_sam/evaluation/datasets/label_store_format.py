"""A `LabelStore` as data to evaluate: its objects, and what people made of masks that were found automatically."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import GroundTruth, Sample, TrueObject
from napari_sam.io.labels.edits import box_of, intersection, plane_of, union
from napari_sam.io.labels.label_store import LabelStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.io.labels.label_pyramid import Box

_NOT_BY_PEOPLE = ("everything", "commits", "relabel", "category")  # or not of the mask


def store_samples(path: Path) -> list[Sample]:
    """The planes of a label store that have objects.

    Raises
    ------
    StoreError
        If it is no store, or damaged.
    """
    with LabelStore.open(path, "r") as store:
        planes = [plane_of({"plane": p}) for (p,) in store.rows_of("SELECT DISTINCT plane FROM objects ORDER BY plane")]
        image = store.meta("image") or {}
        ((changes,),) = store.rows_of("SELECT max(seq) FROM log")  # not the file: changes wait beside it
    place = image.get("uri")
    name = path.resolve().name
    identity = f"{path.resolve()}|{changes}|{image.get('identity')}"
    out = []
    for plane in planes:
        title = "/".join(["plane", *map(str, plane)]) if plane else "plane"
        source = None if plane or not place else partial(_image_of, place)
        read = partial(_objects, path, plane)
        out.append(Sample(name, title, None, read, source, f"{identity}|{title}", groups={"dataset": name}))
    return out


def _image_of(place: str) -> NDArray[np.generic]:
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415 - only stores whose image is asked for

    return open_image(place)  # type: ignore[return-value]  # a predictor takes it as it takes arrays


def _objects(path: Path, plane: tuple[int, ...]) -> GroundTruth:
    with LabelStore.open(path, "r") as store:
        text = ",".join(map(str, plane))
        found = store.rows_of("SELECT label, category FROM objects WHERE plane = ? ORDER BY label", (text,))
        objects = []
        for label, category in found:
            mask, box = store.mask(int(label))
            objects.append(TrueObject(int(label), mask, (box[0], box[1]), category or ""))
        return GroundTruth((store.shape[-2], store.shape[-1]), tuple(objects))


def corrected_objects(path: Path) -> Iterator[tuple[int, float, str, str]]:
    """IoU of each automatically found object and of what a person left of it.

    Parameters
    ----------
    path : Path
        A label store.

    Yields
    ------
    label : int
        Its id.
    iou : float
        Of the automatic and the final mask; 1 where nobody changed it, 0 where it was taken out or merged away.
    fate : str
        "kept", "changed" or "removed"; only objects that a person has seen: reviewed, redrawn or removed.
    plane : str
        Where it lies along the leading axes; empty in a 2-D store.

    Raises
    ------
    EvaluationError
        If nothing in the store was found automatically.
    """
    with LabelStore.open(path, "r") as store:
        born = _automatic(store)
        if not born:
            raise EvaluationError(f"{path}: no object of it was found by everything-mode; there is nothing to compare")
        seen, there = store.reviewed(), {int(label) for (label,) in store.rows_of("SELECT label FROM objects")}
        later = _changes(store)
        for label, (op, plane) in born.items():
            now, changes = _followed(label, op, later)
            by_people = [kind for _, kind, _ in changes if kind not in _NOT_BY_PEOPLE]
            if now not in there:
                if by_people:  # not where a later run took its place
                    yield label, 0.0, "removed", plane
            elif by_people or now in seen:
                iou = _overlap(store, label, now, [number for number, _, _ in changes])
                yield label, iou, "kept" if iou == 1 else "changed", plane


def _changes(store: LabelStore) -> dict[int, list[tuple[int, str, int | None]]]:
    """Every change that stands of objects that were there: by label its number, kind, and another id that it gave."""
    rows = store.rows_of(
        "SELECT rows.label, ops.id, kind, CASE kind WHEN 'relabel' THEN json_extract(record, '$.new') END "
        "FROM ops JOIN rows ON rows.op = ops.id WHERE state = 'done' AND rows.before IS NOT NULL ORDER BY ops.id"
    )
    out: dict[int, list[tuple[int, str, int | None]]] = {}
    for label, op, kind, new in rows:
        out.setdefault(int(label), []).append((int(op), str(kind), None if new is None else int(new)))
    return out


def _followed(
    label: int, op: int, later: dict[int, list[tuple[int, str, int | None]]]
) -> tuple[int, list[tuple[int, str, int | None]]]:
    """What an object is called now, and its changes after one, whatever it was called."""
    changes: list[tuple[int, str, int | None]] = []
    while True:
        some = [one for one in later.get(label, ()) if one[0] > op]
        renamed = next((one for one in some if one[2] is not None), None)
        if renamed is None or renamed[2] is None:
            return label, [*changes, *some]
        changes += [one for one in some if one[0] <= renamed[0]]
        op, label = renamed[0], renamed[2]


def _automatic(store: LabelStore) -> dict[int, tuple[int, str]]:
    """Objects that a whole-image run made: the change that made them, and their plane."""
    rows = store.rows_of(
        "SELECT rows.label, min(ops.id), json_extract(rows.after, '$.plane') FROM rows JOIN ops ON ops.id = rows.op "
        "WHERE ops.kind IN ('everything', 'commits') AND ops.state = 'done' AND rows.before IS NULL GROUP BY rows.label"
    )
    return {int(label): (int(op), str(plane or "")) for label, op, plane in rows}


def _overlap(store: LabelStore, born: int, label: int, later: list[int]) -> float:
    """IoU of an object now and before some changes, which are taken back in memory; it was called `born` then."""
    row = store.object(label)
    plane, box = plane_of(row), box_of(row)
    patches = [p for op in later for p in store.patches_of(op) if p.plane == plane]
    first = store.rows_of("SELECT before FROM rows WHERE label = ? AND op = ?", (born, later[0])) if later else []
    if first and first[0][0]:
        box = union(box, box_of(json.loads(first[0][0])))
    now = store.read(box, plane=plane)
    before = now.copy()
    for patch in reversed(patches):
        part = intersection(box, patch.box)
        if part is not None:
            before[_in(part, box)] = patch.labels(after=False)[_in(part, patch.box)]
    a, b = before == born, now == label
    either = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / either if either else 1.0


def _in(part: Box, frame: Box) -> tuple[slice, slice]:
    y, x = frame[:2]
    return slice(part[0] - y, part[2] - y), slice(part[1] - x, part[3] - x)
