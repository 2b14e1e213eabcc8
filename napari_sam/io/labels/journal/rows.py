"""Rows of the journal as typed values, checked when they are read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from napari_sam.io.labels.journal.row_values import (
    blob,
    checked_box,
    format_plane,
    json_columns,
    moment,
    number,
    optional_number,
    optional_text,
    optional_whole,
    parse_plane,
    text,
    whole,
)
from napari_sam.io.labels.journal.run_length import decode_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.journal.class_rows import ClassBeforeAfter

    Plane = tuple[int, ...]
    Record = JsonObject
    PlaneBeforeAfter = tuple["ObjectPlane | None", "ObjectPlane | None"]

DONE, UNDONE, DROPPED = "done", "undone", "dropped"
"""States of a change: in effect, undone, or undone and no longer available for redo."""

LARGEST_LABEL = (1 << 32) - 1
"""Highest id of an object."""

OBJECT_COLUMNS = (
    "label", "plane", "area_px", "y0", "x0", "y1", "x1",
    "category", "predicted_iou", "stability_score", "model", "op", "created", "n_planes", "parent",
)  # fmt: skip
PLANE_COLUMNS = ("label", "plane", "area_px", "y0", "x0", "y1", "x1", "predicted_iou")
"""Columns of the part of an object that lies on one plane of a stack."""
DETAIL_COLUMNS = ("category", "predicted_iou", "stability_score", "model")
"""Columns of an object that cannot be computed from its pixels."""


@dataclass(frozen=True)
class ObjectRow:
    """Row of one object in the object table.

    Attributes
    ----------
    label : int
        Id of the object.
    plane : tuple of int
        Index along the leading axes of the first plane on which it lies.
    area_px : int
        Number of pixels, of all planes.
    box : Box
        Bounding box in level-0 pixels, of all planes.
    category, model : str or None
        Category, and model that segmented it.
    predicted_iou, stability_score : float or None
        Scores of the model; on several planes, the lowest predicted IoU.
    op : int or None
        Number of the change that made it; None before that change is in the journal.
    created : float
        Seconds since 1970.
    n_planes : int
        Number of planes on which it lies.
    parent : int or None
        Id of the object that it descends from, such as a cell before its division.
    """

    label: int
    plane: Plane
    area_px: int
    box: Box
    category: str | None = None
    predicted_iou: float | None = None
    stability_score: float | None = None
    model: str | None = None
    op: int | None = None
    created: float = 0.0
    n_planes: int = 1
    parent: int | None = None

    @classmethod
    def from_columns(cls, *values: object) -> ObjectRow:
        """Read the values of `OBJECT_COLUMNS`.

        Raises
        ------
        ValueError
            If a value has the wrong type.
        """
        label, plane, area, y0, x0, y1, x1, category, iou, stability, model, op, created, n_planes, parent = values
        number_of, pixels, planes = whole(label), whole(area), 1 if n_planes is None else whole(n_planes)
        if not 0 < number_of <= LARGEST_LABEL or pixels < 0 or planes < 1:
            raise ValueError(f"object {label} of {area} px on {planes} planes")
        return cls(
            label=number_of,
            plane=parse_plane(text(plane)),
            area_px=pixels,
            box=checked_box(y0, x0, y1, x1),
            category=optional_text(category),
            predicted_iou=optional_number(iou),
            stability_score=optional_number(stability),
            model=optional_text(model),
            op=None if op is None else whole(op),
            created=moment(created),
            n_planes=planes,
            parent=None if parent is None else whole(parent),
        )

    @classmethod
    def from_json(cls, content: object) -> ObjectRow | None:
        """Read a row that `to_json` wrote; None stands for no object.

        Raises
        ------
        ValueError
            If the text is damaged.
        """
        if content is None:
            return None
        columns = json.loads(text(content))
        if not isinstance(columns, dict):
            raise ValueError(f"a row of the object table is {columns!r}")
        return cls.from_columns(*(columns.get(name) for name in OBJECT_COLUMNS))

    def to_json(self) -> str:
        """Return the columns as JSON, as the journal keeps them before and after a change."""
        return json.dumps(self.as_dict())

    def as_dict(self) -> dict[str, object]:
        """Return the columns by name, as `LabelStore.object` gives them; ``n_planes`` and ``parent`` in stacks only."""
        names = OBJECT_COLUMNS if self.plane else OBJECT_COLUMNS[:-2]
        return dict(zip(names, self.columns(), strict=False))

    def columns(self) -> tuple[object, ...]:
        """Return the values of `OBJECT_COLUMNS`."""
        details = (self.category, self.predicted_iou, self.stability_score, self.model)
        position = (self.label, format_plane(self.plane), self.area_px, *self.box)
        return (*position, *details, self.op, self.created, self.n_planes, self.parent)

    def with_details(self, details: Mapping[str, object]) -> ObjectRow:
        """Return the row with other details, given by column name.

        Raises
        ------
        ValueError
            If a value has the wrong type.
        """
        if not details:
            return self
        return replace(
            self,
            category=optional_text(details.get("category", self.category)),
            predicted_iou=optional_number(details.get("predicted_iou", self.predicted_iou)),
            stability_score=optional_number(details.get("stability_score", self.stability_score)),
            model=optional_text(details.get("model", self.model)),
            created=number(details.get("created", self.created)),
            parent=optional_whole(details.get("parent", self.parent)),
        )

    def details(self) -> dict[str, object]:
        """Return the values of `DETAIL_COLUMNS` by name."""
        return {name: getattr(self, name) for name in DETAIL_COLUMNS}


@dataclass(frozen=True)
class ObjectPlane:
    """Part of an object that lies on one plane.

    Attributes
    ----------
    label : int
        Id of the object.
    plane : tuple of int
        Index along the leading axes.
    area_px : int
        Number of pixels on this plane.
    box : Box
        Their bounding box in level-0 pixels.
    predicted_iou : float or None
        Score of the model on this plane.
    """

    label: int
    plane: Plane
    area_px: int
    box: Box
    predicted_iou: float | None = None

    @classmethod
    def of(cls, row: ObjectRow) -> ObjectPlane:
        """Return the only plane of an object that lies on one plane."""
        return cls(row.label, row.plane, row.area_px, row.box, row.predicted_iou)

    @classmethod
    def from_columns(cls, *values: object) -> ObjectPlane:
        """Read the values of `PLANE_COLUMNS`.

        Raises
        ------
        ValueError
            If a value has the wrong type.
        """
        label, plane, area, y0, x0, y1, x1, iou = values
        number_of, pixels = whole(label), whole(area)
        if not 0 < number_of <= LARGEST_LABEL or pixels < 0:
            raise ValueError(f"object {label} of {area} px on plane {plane}")
        return cls(number_of, parse_plane(text(plane)), pixels, checked_box(y0, x0, y1, x1), optional_number(iou))

    @classmethod
    def from_json(cls, content: object) -> ObjectPlane | None:
        """Read what `to_json` wrote; None stands for no pixels.

        Raises
        ------
        ValueError
            If the text is damaged.
        """
        return (
            None
            if content is None
            else cls.from_columns(*json_columns(content, len(PLANE_COLUMNS), "a plane of an object"))
        )

    def to_json(self) -> str:
        """Return the columns as JSON, as the journal keeps them before and after a change."""
        return json.dumps(self.columns())

    def columns(self) -> tuple[object, ...]:
        """Return the values of `PLANE_COLUMNS`."""
        return (self.label, format_plane(self.plane), self.area_px, *self.box, self.predicted_iou)


def plane_pair(label: object, plane: object, before: object, after: object) -> PlaneBeforeAfter:
    """Read the columns of ``plane_rows``: what lay and lies on one plane of an object.

    Raises
    ------
    ValueError
        If a value is damaged, or belongs to another object or plane.
    """
    pair = (ObjectPlane.from_json(before), ObjectPlane.from_json(after))
    named = {(part.label, format_plane(part.plane)) for part in pair if part is not None}
    if named != {(label, plane)}:
        raise ValueError(f"plane {plane} of object {label}")
    return pair


class TableRow(NamedTuple):
    """Row of one object in `LabelStore.table`."""

    label: int
    plane: str
    area_px: int
    y0: int
    x0: int
    y1: int
    x1: int
    category: str | None
    predicted_iou: float | None
    stability_score: float | None
    model: str | None
    created: float
    n_planes: int
    parent: int | None


class ObjectPosition(NamedTuple):
    """Position of an object on a plane."""

    label: int
    plane: str
    y0: int
    x0: int


@dataclass(frozen=True)
class Patch:
    """Pixels of one change: a box and its labels before and after, run-length encoded."""

    plane: Plane
    box: Box
    before: bytes
    after: bytes

    @classmethod
    def from_columns(cls, *values: object) -> Patch:
        """Read the columns plane, y0, x0, y1, x1, before and after."""
        plane, y0, x0, y1, x1, before, after = values
        indices = json.loads(text(plane))
        return cls(tuple(whole(i) for i in indices), checked_box(y0, x0, y1, x1), blob(before), blob(after))

    def labels(self, after: bool) -> NDArray[np.uint32]:
        """Return the labels (h, w) of the box, before or after the change.

        Raises
        ------
        StoreError
            If the runs are damaged.
        """
        return decode_labels(self.after if after else self.before, self.box.shape)


@dataclass
class Change:
    """Change of the labels that is not in the journal yet.

    Attributes
    ----------
    kind : str
        "commit", "erase", "merge" …
    record : dict
        Action of the user: prompts, model, window, scores; JSON, with numpy numbers allowed.
    next_before, next_after : int
        Id of the next object, before and after.
    run_id : str, optional
        Key of the run that the change belongs to.
    patches : list of Patch
        Pixels.
    rows : dict of int to (ObjectRow or None, ObjectRow or None)
        Rows of the object table before and after, by label.
    planes : list of (ObjectPlane or None, ObjectPlane or None)
        What lies on single planes of a stack before and after.
    classes : list of (ObjectClass or None, ObjectClass or None)
        Classes before and after.
    """

    kind: str
    record: Record
    next_before: int
    next_after: int
    run_id: str | None = None
    patches: list[Patch] = field(default_factory=list)
    rows: dict[int, tuple[ObjectRow | None, ObjectRow | None]] = field(default_factory=dict)
    planes: list[tuple[ObjectPlane | None, ObjectPlane | None]] = field(default_factory=list)
    classes: list[ClassBeforeAfter] = field(default_factory=list)


@dataclass(frozen=True)
class JournaledChange:
    """Change in the journal.

    Attributes
    ----------
    op : int
        Number of the change.
    kind, state : str
        Kind; `DONE`, `UNDONE` or `DROPPED`.
    time : float
        Time, in seconds since 1970.
    run_id : str or None
        Key of the run that it belongs to.
    record : dict
        Action of the user, as JSON.
    """

    op: int
    kind: str
    state: str
    time: float
    run_id: str | None
    record: Record

    @classmethod
    def from_columns(cls, *values: object) -> JournaledChange:
        """Read the columns id, kind, state, time, run_id and record."""
        op, kind, state, time, run_id, record = values
        content = json.loads(text(record))
        if not isinstance(content, dict):
            raise ValueError(f"the record of change {op} is {content!r}")
        return cls(whole(op), text(kind), text(state), moment(time), optional_text(run_id), content)

    @property
    def is_whole_image_run(self) -> bool:
        """Whether the change belongs to a run of everything-mode, which is undone as a whole."""
        return self.kind == "everything" and self.run_id is not None


class LogEntry(NamedTuple):
    """Entry of the log: change `op` was made ("do", "redo") or undone ("undo")."""

    seq: int
    op: int
    action: str


class LogMark(NamedTuple):
    """Entry of the log with the time that tells it from the entry of the same number in another history."""

    seq: int
    op: int
    action: str
    time: float


class ObjectChange(NamedTuple):
    """Change in effect of an object that existed before it.

    Attributes
    ----------
    label : int
        Id of the object before the change.
    op : int
        Number of the change.
    kind : str
        Kind of the change.
    new_label : int or None
        New id of the object, if the change gave it one.
    """

    label: int
    op: int
    kind: str
    new_label: int | None


class ObjectOrigin(NamedTuple):
    """Change that made an object, the plane of the object as text, its score then, and its stage."""

    label: int
    op: int
    plane: str
    score: float | None
    stage: str
