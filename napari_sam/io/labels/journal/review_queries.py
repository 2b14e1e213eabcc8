"""Queries of the verdicts: which objects a person has reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.row_values import optional_text, whole
from napari_sam.io.labels.journal.rows import DONE, OBJECT_COLUMNS, UNDONE, ObjectRow
from napari_sam.io.labels.journal.schema import IS_VERDICT, VERDICT_LABEL

if TYPE_CHECKING:
    from napari_sam.io.labels.journal._database import Database

_ROWS = ", ".join(f"objects.{name}" for name in OBJECT_COLUMNS)


class ReviewQueries:
    """Queries of the verdicts; a part of `Journal`.

    A verdict is a change of kind "review" or "commit" that is in effect and not older than the object.

    Parameters
    ----------
    database : Database
        The file.
    indexed : bool
        Whether it has the index ``verdicts``. SQLite must be told to use it, or it reads all changes.
    """

    def __init__(self, database: Database, indexed: bool) -> None:
        self._database = database
        hint = "INDEXED BY verdicts" if indexed else ""
        self._verdicts = f"ops {hint} WHERE {IS_VERDICT}"
        verdicts = f"{self._verdicts} AND {VERDICT_LABEL} = objects.label AND ops.id >= objects.op"
        self._reviewed_condition = f"EXISTS (SELECT 1 FROM {verdicts})"  # noqa: S608 - fixed words

    def next_unreviewed(self, score: float | None, label: int) -> ObjectRow | None:
        """Return the first object without a verdict after (`score`, `label`), by predicted IoU, None last."""
        if score is not None:
            row = self._first("predicted_iou IS NOT NULL AND (predicted_iou, label) > (?, ?)", (score, label))
            if row is not None:
                return row
            label = 0
        return self._first("predicted_iou IS NULL AND label > ?", (label,))

    def is_unreviewed(self, label: int) -> bool:
        """Whether an object exists and has no verdict."""
        return self._first("label = ?", (label,)) is not None

    def reviewed(self) -> set[int]:
        """Return the ids of the objects that were reviewed and kept."""
        sql = (
            f"SELECT DISTINCT label FROM ops JOIN objects ON label = {VERDICT_LABEL} "  # noqa: S608
            f"WHERE {IS_VERDICT} AND ops.id >= objects.op"
        )
        return set(self._database.read(whole, sql))

    def reviewed_count(self) -> int:
        """Return how many objects were reviewed and kept; takes 10 us for each verdict."""
        source, condition = self._verdicts.split(" WHERE ")
        sql = (
            f"SELECT count(DISTINCT {VERDICT_LABEL}) FROM {source} JOIN objects ON label = {VERDICT_LABEL} "  # noqa: S608
            f"WHERE {condition} AND ops.id >= objects.op"
        )
        return self._database.read_one(whole, sql) or 0

    def rejected_count(self) -> int:
        """Return how many objects were rejected."""
        sql = f"SELECT count(*) FROM {self._verdicts} AND json_extract(record, '$.verdict') = 'rejected'"  # noqa: S608
        return self._database.read_one(whole, sql) or 0

    def next_verdict(self, undo: bool) -> int | None:
        """Return the object whose verdict or class undo, or else redo, would change; new objects do not count."""
        state, order = (DONE, "DESC") if undo else (UNDONE, "ASC")
        existed = (
            "SELECT before IS NOT NULL AND after IS NOT NULL OR kind = 'review' FROM rows "
            "WHERE op = ops.id AND label = json_extract(record, '$.label')"
        )
        sql = (
            f"SELECT kind, json_extract(record, '$.label'), ({existed}) FROM ops WHERE state = ? "  # noqa: S608
            f"ORDER BY id {order} LIMIT 1"
        )
        row = self._database.read_one(lambda *columns: columns, sql, (state,))
        if row is None or optional_text(row[0]) not in ("review", "commit", "category") or not row[2]:
            return None
        return whole(row[1])

    def _first(self, condition: str, values: tuple[object, ...]) -> ObjectRow | None:
        sql = (
            f"SELECT {_ROWS} FROM objects WHERE {condition} AND NOT {self._reviewed_condition} "  # noqa: S608
            "ORDER BY predicted_iou, label LIMIT 1"
        )
        return self._database.read_one(ObjectRow.from_columns, sql, values)
