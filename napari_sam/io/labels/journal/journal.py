"""The journal of a label store: every change is one transaction."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.journal._database import INVALID, Database
from napari_sam.io.labels.journal.change_queries import ChangeQueries
from napari_sam.io.labels.journal.class_queries import ClassQueries, add_class_rows, step_classes, with_new_classes
from napari_sam.io.labels.journal.meta_values import check_fact
from napari_sam.io.labels.journal.object_queries import ObjectQueries
from napari_sam.io.labels.journal.provenance_queries import ProvenanceQueries
from napari_sam.io.labels.journal.review_queries import ReviewQueries
from napari_sam.io.labels.journal.row_values import format_plane, number, text, to_plain, whole
from napari_sam.io.labels.journal.rows import (
    DONE,
    DROPPED,
    LARGEST_LABEL,
    OBJECT_COLUMNS,
    PLANE_COLUMNS,
    UNDONE,
    LogEntry,
    LogMark,
    ObjectRow,
    plane_pair,
)
from napari_sam.io.labels.journal.schema import FORMAT, create_tables, migrate, show_as_current, unknown_entry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from napari_sam.io.labels.journal.rows import Change, ObjectPlane, PlaneBeforeAfter

    BeforeAfter = tuple[object | None, object | None]


class Journal:
    """The SQLite file of one label store; its methods may be called from several threads.

    It records changes. Its parts answer named queries: `objects` of the object table, `classes` of their classes,
    `changes` of the history and its runs, `reviews` of the verdicts, `provenance` of who made
    each object and how.

    Parameters
    ----------
    path : Path
        The file.
    writable : bool
        Open for writing, which migrates a journal of an earlier version. Reading changes nothing.

    Raises
    ------
    StoreError
        If it cannot be read, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path, writable: bool) -> None:
        self.path = path
        self._database = Database(path, "rw" if writable else "ro")
        try:
            version = self._checked_format()
            shape = tuple(self.meta("shape") or ()) or None
            if version < FORMAT and writable:
                with self._database.transaction() as connection:
                    migrate(connection, version)
            elif version < FORMAT:
                show_as_current(self._database.connection, version)
        except BaseException:
            self._database.close()
            raise
        self.objects = ObjectQueries(self._database, shape)
        self.classes = ClassQueries(self._database)
        self.changes = ChangeQueries(self._database, shape)
        self.provenance = ProvenanceQueries(self._database)
        self.reviews = ReviewQueries(self._database, indexed=writable or version >= 2)

    def _checked_format(self) -> int:
        unknown = self._database.ask(unknown_entry)
        if unknown is not None:
            raise StoreError(
                f"{self.path}: is not a journal, or a damaged one: it has {unknown}",
                remedy="restore it from a backup, and do not trust the store if somebody else sent it",
            )
        stored = self.meta("format")
        if isinstance(stored, int) and stored <= FORMAT:
            return stored
        version = "unknown format" if stored is None else f"format {stored}"
        raise StoreError(
            f"{self.path}: the journal has {version}, and this version reads up to {FORMAT}",
            remedy="upgrade napari-sam-xl",
        )

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, object]) -> None:
        """Write an empty journal.

        Parameters
        ----------
        path : Path
            The file.
        meta : mapping
            Facts about the image, as JSON.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        database = Database(path, "rwc")
        try:
            with database.transaction() as connection:
                create_tables(connection)
                entries = {"format": FORMAT, "next_label": 1, "rendered": 0, "objects": 0, **meta}
                connection.executemany(
                    "INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in entries.items()]
                )
        finally:
            database.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def meta(self, key: str) -> Any:
        """Return a fact about the store, or None if it has none of this name."""
        value = self._database.read_one(text, "SELECT value FROM meta WHERE key = ?", (key,))
        try:
            fact = None if value is None else json.loads(value)
            if value is not None:
                check_fact(key, fact)
        except INVALID as error:
            raise self._database.damaged(f"the fact {key!r}", error) from error
        return fact

    def check_facts(self) -> None:
        """Raise `StoreError` if a fact that every store has is missing or damaged."""
        for key in ("shape", "scale", "axes", "image", "next_label", "objects", "rendered"):
            if self.meta(key) is None and key != "image":
                raise self._database.damaged(f"the fact {key!r}", ValueError("it is missing"))

    def check_all(self) -> None:
        """Read everything in the file, and raise `StoreError` at the first value that is damaged."""
        verdict = self._database.ask(lambda connection: connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if verdict != "ok":
            raise self._database.damaged("the file", ValueError(verdict))
        self.check_facts()
        self.objects.table()
        self.objects.check_planes()
        self.log_after(0)
        self.classes.all()
        for op in self.changes.check_each():
            self.classes.check_changes(op)
            for patch in self.changes.patches(op):
                for after in (False, True):
                    patch.labels(after)

    def replace_objects(self, rows: Mapping[int, ObjectRow], planes: Iterable[ObjectPlane]) -> None:
        """Replace the object table, by label, and what lies on single planes of a stack."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM objects")
            db.execute("DELETE FROM object_planes")
            _set_objects(db, rows)
            _set_planes(db, [(None, plane) for plane in planes if plane.plane])
            next_label = max(whole(self.meta("next_label")), _above_objects(db))
            facts = {"objects": len(rows), "next_label": next_label}
            db.executemany("UPDATE meta SET value = ? WHERE key = ?", [(json.dumps(v), k) for k, v in facts.items()])

    def rendered(self) -> int:
        """Return the number of the last log entry whose pixels are known to be on disk."""
        return whole(self.meta("rendered"))

    def last_log_entry(self) -> int:
        """Return the number of the last log entry, 0 without any; it grows with every change, undo and redo."""
        return self._database.read_one(whole, "SELECT coalesce(max(seq), 0) FROM log") or 0

    def log_after(self, seq: int) -> list[LogEntry]:
        """Return every log entry later than `seq`, in order."""
        sql = "SELECT seq, op, action FROM log WHERE seq > ? ORDER BY seq"
        return self._database.read(lambda *row: LogEntry(whole(row[0]), whole(row[1]), text(row[2])), sql, (seq,))

    def log_mark(self, seq: int) -> LogMark:
        """Return what identifies an entry of the log; of a missing entry, and of 0, a mark of nothing."""
        sql = "SELECT seq, op, action, time FROM log WHERE seq = ?"
        mark = self._database.read_one(
            lambda *row: LogMark(whole(row[0]), whole(row[1]), text(row[2]), number(row[3])), sql, (seq,)
        )
        return mark or LogMark(0, 0, "none", 0.0)

    def add(self, change: Change, rendered: int) -> LogEntry:
        """Write a change; changes that were undone can then no longer be redone, but stay in the file.

        A category of its objects that is no class yet becomes one.

        Parameters
        ----------
        change : Change
            The change.
        rendered : int
            The last log entry whose pixels are on disk.

        Returns
        -------
        LogEntry
            The entry of the log, with the number of the change.
        """
        now = time.time()
        with self._database.transaction() as db:
            db.execute("UPDATE ops SET state = ? WHERE state = ?", (DROPPED, UNDONE))
            record = json.dumps(change.record, default=to_plain)
            values = (change.kind, DONE, now, change.next_before, change.next_after, record, change.run_id)
            columns = "kind, state, time, next_before, next_after, record, run_id"
            sql = f"INSERT INTO ops ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - fixed words
            op = db.execute(sql, values).lastrowid or 0
            db.executemany(
                "INSERT INTO patches (op, plane, y0, x0, y1, x1, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(op, json.dumps(p.plane), *p.box, p.before, p.after) for p in change.patches],
            )
            rows = {label: (before, _made_by(op, after)) for label, (before, after) in change.rows.items()}
            table = [(op, label, _to_json(before), _to_json(after)) for label, (before, after) in rows.items()]
            db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", table)
            _set_objects(db, {label: after for label, (_, after) in rows.items()})
            _count_objects(db, rows.values())
            if change.planes:  # never in a single image
                entries = map(partial(_plane_row, op), change.planes)
                db.executemany("INSERT INTO plane_rows VALUES (?, ?, ?, ?, ?)", entries)
                _set_planes(db, change.planes)
            add_class_rows(db, op, with_new_classes(db, change.classes, rows.values()))
            return _log(db, op, "do", now, change.next_after, rendered)

    def step(self, op: int, undo: bool, rendered: int) -> LogEntry:
        """Mark a change as undone, or as done again, and set the object table accordingly.

        Parameters
        ----------
        op : int
            Number of the change.
        undo : bool
            Undo it; else redo it.
        rendered : int
            The last log entry whose pixels are on disk.
        """
        now = time.time()
        with self._database.transaction() as db:
            db.execute("UPDATE ops SET state = ? WHERE id = ?", (UNDONE if undo else DONE, op))
            rows = db.execute("SELECT label, before, after FROM rows WHERE op = ?", (op,)).fetchall()
            target = {label: before if undo else after for label, before, after in rows}
            kept = db.execute("SELECT label, plane, before, after FROM plane_rows WHERE op = ?", (op,)).fetchall()
            before, after = db.execute("SELECT next_before, next_after FROM ops WHERE id = ?", (op,)).fetchone()
            try:
                planes = [plane_pair(*row)[::-1] if undo else plane_pair(*row) for row in kept]
                restored = {whole(label): ObjectRow.from_json(row) for label, row in target.items()}
                next_label = whole(before if undo else after)
            except INVALID as error:
                raise self._database.damaged(f"a row of change {op}", error) from error
            _set_objects(db, restored)
            _count_objects(db, [(after, before) if undo else (before, after) for _, before, after in rows])
            _set_planes(db, planes)
            try:
                step_classes(db, op, undo)
            except INVALID as error:
                raise self._database.damaged(f"a class of change {op}", error) from error
            following = max(next_label, _above_objects(db))
            return _log(db, op, "undo" if undo else "redo", now, following, rendered)

    def set_rendered(self, seq: int) -> None:
        """Record that the pixels show everything up to log entry `seq`."""
        with self._database.transaction() as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'rendered'", (json.dumps(seq),))

    def next_label(self) -> int:
        """Return the id of the next object: one more than the highest so far, or the lowest that is free."""
        label = whole(self.meta("next_label"))
        return label if not self.objects.any_between(label, label) else self.objects.lowest_free_label()


def _log(db: sqlite3.Connection, op: int, action: str, now: float, next_label: int, rendered: int) -> LogEntry:
    """Add a log entry, and set the counters that change with it."""
    seq = db.execute("INSERT INTO log (op, action, time) VALUES (?, ?, ?)", (op, action, now)).lastrowid
    values = {"next_label": next_label, "rendered": rendered}
    db.executemany("UPDATE meta SET value = ? WHERE key = ?", [(json.dumps(v), k) for k, v in values.items()])
    return LogEntry(int(seq or 0), op, action)


def _above_objects(db: sqlite3.Connection) -> int:
    """Return the id after the highest one in use, apart from the last possible id."""
    (label,) = db.execute("SELECT coalesce(max(label), 0) FROM objects WHERE label < ?", (LARGEST_LABEL,)).fetchone()
    return int(label) + 1


def _set_objects(db: sqlite3.Connection, rows: Mapping[int, ObjectRow | None]) -> None:
    """Put these rows into the object table; None removes an object."""
    db.executemany("DELETE FROM objects WHERE label = ?", [(label,) for label, row in rows.items() if row is None])
    marks = ",".join("?" * len(OBJECT_COLUMNS))
    kept = [row.columns() for row in rows.values() if row is not None]
    db.executemany(f"INSERT OR REPLACE INTO objects ({','.join(OBJECT_COLUMNS)}) VALUES ({marks})", kept)  # noqa: S608


def _set_planes(db: sqlite3.Connection, planes: Iterable[PlaneBeforeAfter]) -> None:
    """Put the second of each pair into the table of single planes, or remove the first."""
    kept, removed = [], []
    for before, after in planes:
        if after is not None:
            kept.append(after.columns())
        elif before is not None:
            removed.append((before.label, format_plane(before.plane)))
    db.executemany("DELETE FROM object_planes WHERE label = ? AND plane = ?", removed)
    marks = ",".join("?" * len(PLANE_COLUMNS))
    db.executemany(f"INSERT OR REPLACE INTO object_planes ({','.join(PLANE_COLUMNS)}) VALUES ({marks})", kept)  # noqa: S608


def _plane_row(op: int, pair: PlaneBeforeAfter) -> tuple[object, ...]:
    """Return the values of a row of the table ``plane_rows``."""
    before, after = pair
    part = after or before
    if part is None:
        raise ValueError("neither before nor after a change")
    return (op, part.label, format_plane(part.plane), *(p and p.to_json() for p in pair))


def _count_objects(db: sqlite3.Connection, rows: Iterable[BeforeAfter]) -> None:
    """Update the number of objects, given rows (before, after)."""
    more = sum((after is not None) - (before is not None) for before, after in rows)
    if more:
        db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + ? WHERE key = 'objects'", (more,))


def _made_by(op: int, row: ObjectRow | None) -> ObjectRow | None:
    """Return the row of a new object with the number of the change that made it."""
    return replace(row, op=op) if row is not None and row.op is None else row


def _to_json(row: ObjectRow | None) -> str | None:
    return None if row is None else row.to_json()
