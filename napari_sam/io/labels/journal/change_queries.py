"""Queries of the history: changes, the runs they belong to, and their effect on objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.provenance_queries import STAGE
from napari_sam.io.labels.journal.row_values import (
    check_inside,
    json_planes,
    optional_number,
    optional_whole,
    parse_plane,
    text,
    whole,
)
from napari_sam.io.labels.journal.rows import (
    DONE,
    UNDONE,
    JournaledChange,
    ObjectChange,
    ObjectOrigin,
    ObjectRow,
    Patch,
    plane_pair,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.labels.journal._database import Database
    from napari_sam.io.labels.journal.rows import Plane

_COLUMNS = "id, kind, state, time, run_id, record"
_IN_EFFECT_OF_RUN = "FROM ops WHERE run_id = ? AND state = 'done' AND kind = ?"


class ChangeQueries:
    """Queries of the changes; a part of `Journal`.

    A change is in effect unless it was undone.
    """

    def __init__(self, database: Database, shape: tuple[int, ...] | None) -> None:
        self._database, self._shape = database, shape

    def all(self) -> list[JournaledChange]:
        """Return all changes in order, including undone and dropped ones."""
        return self._database.read(JournaledChange.from_columns, f"SELECT {_COLUMNS} FROM ops ORDER BY id")  # noqa: S608

    def in_effect(self) -> list[JournaledChange]:
        """Return the changes in effect, in order."""
        sql = f"SELECT {_COLUMNS} FROM ops WHERE state = ? ORDER BY id"  # noqa: S608
        return self._database.read(JournaledChange.from_columns, sql, (DONE,))

    def ops_in_effect(self) -> list[int]:
        """Return the numbers of the changes in effect, in order."""
        return self._database.read(whole, "SELECT id FROM ops WHERE state = ? ORDER BY id", (DONE,))

    def any_in(self, state: str) -> bool:
        """Whether a change is in this state."""
        return self._database.read_one(whole, "SELECT id FROM ops WHERE state = ? LIMIT 1", (state,)) is not None

    def next_change(self, undo: bool) -> JournaledChange | None:
        """Return the change that undo, or else redo, would apply to."""
        state, order = (DONE, "DESC") if undo else (UNDONE, "ASC")
        sql = f"SELECT {_COLUMNS} FROM ops WHERE state = ? ORDER BY id {order} LIMIT 1"  # noqa: S608
        return self._database.read_one(JournaledChange.from_columns, sql, (state,))

    def is_in_effect(self, op: int) -> bool:
        """Whether a change is in effect."""
        sql = "SELECT id FROM ops WHERE id = ? AND state = 'done'"
        return self._database.read_one(whole, sql, (op,)) is not None

    def last_op_in_effect(self) -> int | None:
        """Return the number of the last change in effect."""
        sql = "SELECT id FROM ops WHERE state = 'done' ORDER BY id DESC LIMIT 1"
        return self._database.read_one(whole, sql)

    def patches(self, op: int) -> Iterator[Patch]:
        """Iterate over the pixels of a change, one box at a time."""
        for number in self._database.read(whole, "SELECT id FROM patches WHERE op = ? ORDER BY id", (op,)):
            sql = "SELECT plane, y0, x0, y1, x1, before, after FROM patches WHERE id = ?"
            yield from self._database.read(self._patch, sql, (number,))

    def _patch(self, *values: object) -> Patch:
        """Read a patch that lies in the image."""
        patch = Patch.from_columns(*values)
        if self._shape is not None:
            check_inside(self._shape, patch.plane, patch.box)
        return patch

    # ---- runs -----------------------------------------------------------------------------------------------

    def of_run(self, run_id: str, kind: str) -> list[JournaledChange]:
        """Return the changes of a run that are in effect, in order; `kind` is "everything" or "commits"."""
        sql = f"SELECT {_COLUMNS} {_IN_EFFECT_OF_RUN} ORDER BY id"
        return self._database.read(JournaledChange.from_columns, sql, (run_id, kind))

    def last_of_run(self, run_id: str, kind: str) -> JournaledChange | None:
        """Return the last change of a run that is in effect."""
        sql = f"SELECT {_COLUMNS} {_IN_EFFECT_OF_RUN} ORDER BY id DESC LIMIT 1"
        return self._database.read_one(JournaledChange.from_columns, sql, (run_id, kind))

    def ops_of_run(self, run_id: str, kind: str) -> list[int]:
        """Return the numbers of the changes of a run that are in effect, in order."""
        return self._database.read(whole, f"SELECT id {_IN_EFFECT_OF_RUN} ORDER BY id", (run_id, kind))

    def span_of_run(self, run_id: str, undo: bool) -> list[JournaledChange]:
        """Return the changes that undo, or else redo, of a whole-image run may concern, in order.

        For undo these are all changes in effect since the run began, for redo the undone ones from its first to its
        last.
        """
        state = DONE if undo else UNDONE
        first = "SELECT min(id) FROM ops WHERE run_id = ? AND kind = 'everything' AND state = ?"
        last = "" if undo else f" AND id <= ({first.replace('min', 'max')})"
        sql = f"SELECT {_COLUMNS} FROM ops WHERE state = ? AND id >= ({first}){last} ORDER BY id"  # noqa: S608
        values = (state, *(run_id, state) * (1 if undo else 2))
        return self._database.read(JournaledChange.from_columns, sql, values)

    def failures_of_run(self, run_id: str) -> list[JournaledChange]:
        """Return the changes in effect of a run over prompts that record failed prompts."""
        failed = "json_array_length(record, '$.source.failed') > 0"
        sql = f"SELECT {_COLUMNS} {_IN_EFFECT_OF_RUN} AND {failed} ORDER BY id"
        return self._database.read(JournaledChange.from_columns, sql, (run_id, "commits"))

    def run_of(self, op: int) -> str | None:
        """Return the key of the run over prompts that a change belongs to, or None."""
        sql = "SELECT run_id FROM ops WHERE id = ? AND kind = 'commits' AND run_id IS NOT NULL"
        return self._database.read_one(text, sql, (op,))

    def vanished_objects_of_run(self, run_id: str) -> set[int]:
        """Return the ids of objects that a whole-image run drew and that no longer exist."""
        sql = (
            "SELECT DISTINCT rows.label FROM rows JOIN ops ON ops.id = rows.op WHERE ops.run_id = ? "
            "AND ops.kind = 'everything' AND ops.state = 'done' AND rows.after IS NOT NULL "
            "AND rows.label NOT IN (SELECT label FROM objects)"
        )
        return set(self._database.read(whole, sql, (run_id,)))

    def propagated_planes(self, label: int) -> set[Plane]:
        """Return the planes on which a run drew an object by following it, and that no later change touched."""
        listed = f"CASE WHEN json_valid(record) THEN json_extract(record, '$.propagated.\"{int(label)}\"') END"
        notes = f"SELECT id, {listed} FROM ops WHERE kind = 'everything' AND state = 'done' AND {listed} IS NOT NULL"  # noqa: S608
        later = (
            "SELECT DISTINCT plane FROM plane_rows JOIN ops ON ops.id = plane_rows.op "
            "WHERE label = ? AND op > ? AND state = 'done'"
        )
        planes: set[Plane] = set()
        for op, drawn in self._database.read(lambda op, value: (whole(op), json_planes(value)), notes):
            touched = self._database.read(lambda value: parse_plane(text(value)), later, (label, op))
            planes |= drawn - set(touched)
        return planes

    # ---- objects --------------------------------------------------------------------------------------------

    def changes_of_objects(self) -> list[ObjectChange]:
        """Return every change in effect of an object that existed before it, in order."""
        sql = (
            "SELECT rows.label, ops.id, kind, CASE WHEN kind = 'relabel' "
            "AND json_extract(record, '$.planes') IS NULL "
            "THEN coalesce(json_extract(record, '$.new'), json_extract(record, '$.labels.' || rows.label)) END "
            "FROM ops JOIN rows ON rows.op = ops.id WHERE state = 'done' AND rows.before IS NOT NULL ORDER BY ops.id"
        )
        return self._database.read(_object_change, sql)

    def automatic_objects(self) -> list[ObjectOrigin]:
        """Return the objects that a whole-image run or a run over prompts made, by label."""
        sql = (
            "SELECT rows.label, min(ops.id), json_extract(rows.after, '$.plane'), "  # noqa: S608 - fixed words
            f"json_extract(rows.after, '$.predicted_iou'), {STAGE} FROM rows "
            "JOIN ops ON ops.id = rows.op WHERE ops.kind IN ('everything', 'commits') AND ops.state = 'done' "
            "AND rows.before IS NULL GROUP BY rows.label"
        )
        return self._database.read(_origin, sql)

    def objects_of(self, op: int) -> set[int]:
        """Return the ids of the objects that a change touched."""
        return set(self._database.read(whole, "SELECT label FROM rows WHERE op = ?", (op,)))

    def parents_set_by(self, op: int) -> list[tuple[int, int | None]]:
        """Return the objects to which a change gave another parent, each with the parent."""
        child, parent = "json_extract(after, '$.label')", "json_extract(after, '$.parent')"
        sql = (
            f"SELECT {child}, {parent} FROM rows WHERE op = ? AND after IS NOT NULL "  # noqa: S608 - fixed words
            f"AND {parent} IS NOT json_extract(before, '$.parent') ORDER BY label"
        )
        return self._database.read(lambda *row: (whole(row[0]), optional_whole(row[1])), sql, (op,))

    def categories_set_by(self, op: int) -> list[tuple[int, str]]:
        """Return the objects to which a change gave another category, each with the category."""
        label, category = "json_extract(after, '$.label')", "json_extract(after, '$.category')"
        sql = (
            f"SELECT {label}, {category} FROM rows WHERE op = ? AND after IS NOT NULL AND {category} IS NOT NULL "  # noqa: S608 - fixed words
            f"AND {category} IS NOT json_extract(before, '$.category') ORDER BY label"
        )
        return self._database.read(lambda *row: (whole(row[0]), text(row[1])), sql, (op,))

    def check_each(self) -> Iterator[int]:
        """Iterate over the numbers of all changes; raises `StoreError` at one whose record or rows are damaged."""
        for op in self._database.read(whole, "SELECT id FROM ops ORDER BY id"):
            self._database.read(JournaledChange.from_columns, f"SELECT {_COLUMNS} FROM ops WHERE id = ?", (op,))  # noqa: S608
            for column in ("before", "after"):
                self._database.read(ObjectRow.from_json, f"SELECT {column} FROM rows WHERE op = ?", (op,))  # noqa: S608
            self._database.read(plane_pair, "SELECT label, plane, before, after FROM plane_rows WHERE op = ?", (op,))
            yield op

    def latest_rows(self) -> dict[int, ObjectRow]:
        """Return the last row that a change in effect gave each object, by label."""
        sql = (
            "SELECT after FROM rows JOIN ops ON ops.id = rows.op "
            "WHERE state = 'done' AND after IS NOT NULL ORDER BY ops.id"
        )
        rows = self._database.read(ObjectRow.from_json, sql)
        return {row.label: row for row in rows if row is not None}

    def row_before(self, label: int, op: int) -> ObjectRow | None:
        """Return the row of an object as it was before a change."""
        sql = "SELECT before FROM rows WHERE label = ? AND op = ?"
        return self._database.read_one(ObjectRow.from_json, sql, (label, op))


def _origin(*row: object) -> ObjectOrigin:
    label, op, plane, score, stage = row
    return ObjectOrigin(whole(label), whole(op), str(plane or ""), optional_number(score), text(stage))


def _object_change(*row: object) -> ObjectChange:
    label, op, kind, new = row
    return ObjectChange(whole(label), whole(op), text(kind), None if new is None else whole(new))
