"""The journal of a label store: every change as one transaction, in one SQLite file beside the labels."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from napari_sam.errors import StoreError
from napari_sam.io.labels.run_length import decode_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.io.labels.label_pyramid import Box

FORMAT = 1
DONE, UNDONE, DROPPED = "done", "undone", "dropped"
_BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ops (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, time REAL NOT NULL,
    next_before INTEGER NOT NULL, next_after INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX ops_by_state ON ops (state, id);
CREATE TABLE patches (
    id INTEGER PRIMARY KEY, op INTEGER NOT NULL REFERENCES ops (id), plane TEXT NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    before BLOB NOT NULL, after BLOB NOT NULL);
CREATE INDEX patches_by_op ON patches (op);
CREATE TABLE rows (op INTEGER NOT NULL REFERENCES ops (id), label INTEGER NOT NULL, before TEXT, after TEXT);
CREATE INDEX rows_by_op ON rows (op);
CREATE TABLE log (seq INTEGER PRIMARY KEY, op INTEGER NOT NULL, action TEXT NOT NULL, time REAL NOT NULL);
CREATE TABLE objects (
    label INTEGER PRIMARY KEY, plane TEXT NOT NULL, area_px INTEGER NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    category TEXT, predicted_iou REAL, stability_score REAL, model TEXT, op INTEGER NOT NULL, created REAL NOT NULL);
"""
OBJECT_COLUMNS = "label plane area_px y0 x0 y1 x1 category predicted_iou stability_score model op created".split()

Row = dict[str, Any]


@dataclass
class Patch:
    """Pixels that one change writes: a box and its label image before and after, as runs."""

    plane: tuple[int, ...]
    box: Box
    before: bytes
    after: bytes

    def labels(self, after: bool) -> NDArray[np.uint32]:
        """(h, w) of the box."""
        return decode_labels(self.after if after else self.before)


@dataclass
class Change:
    """One change of the labels, not yet in the journal.

    Attributes
    ----------
    kind : str
        "commit", "erase", "merge" …
    record : dict
        What the user did: prompts, model, window, scores.
    next_before, next_after : int
        The id of the next object.
    patches : list of Patch
        Pixels.
    rows : dict of int to (Row or None, Row or None)
        Objects' rows before and after, by label.
    """

    kind: str
    record: dict[str, Any]
    next_before: int
    next_after: int
    patches: list[Patch] = field(default_factory=list)
    rows: dict[int, tuple[Row | None, Row | None]] = field(default_factory=dict)


class Journal:
    """The SQLite file of one label store; methods may be called from several threads.

    Parameters
    ----------
    path : Path
        The file.
    writable : bool
        Open for writing.

    Raises
    ------
    StoreError
        If it cannot be read, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path, writable: bool) -> None:
        self.path = path
        self._lock = threading.RLock()
        mode = "rw" if writable else "ro"
        try:
            self._db = _connect(path, mode)
            found = self._db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        except sqlite3.Error as error:
            raise _failed(path, error) from error
        if found is None or int(found[0]) > FORMAT:
            version = "of unknown format" if found is None else f"of format {found[0]}, this version reads {FORMAT}"
            self._db.close()
            raise StoreError(f"{path}: a journal {version}; upgrade napari-sam-xl")

    @classmethod
    def create(cls, path: Path, meta: dict[str, Any]) -> None:
        """Write an empty journal.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        try:
            db = _connect(path, "rwc")
            with db:
                db.executescript(f"BEGIN; {_SCHEMA}")
                entries = {"format": FORMAT, "next_label": 1, "rendered": 0, "objects": 0, **meta}
                db.executemany("INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in entries.items()])
            db.close()
        except sqlite3.Error as error:
            raise _failed(path, error) from error

    def close(self) -> None:
        """Close the file; SQLite folds its write-ahead log in."""
        with self._lock:
            self._db.close()

    # ---- reading ------------------------------------------------------------------------------------------

    def query(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT.

        Raises
        ------
        StoreError
            If the file cannot be read.
        """
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise _failed(self.path, error) from error

    def meta(self, key: str) -> Any:
        """A value of the store; None if it has none of this name."""
        found = self.query("SELECT value FROM meta WHERE key = ?", (key,))
        return json.loads(found[0][0]) if found else None

    def objects(self, labels: list[int]) -> dict[int, Row]:
        """Rows of the objects that exist among `labels`."""
        found = {}
        for start in range(0, len(labels), 500):
            some = tuple(int(v) for v in labels[start : start + 500])
            marks = ",".join("?" * len(some))
            sql = f"SELECT {','.join(OBJECT_COLUMNS)} FROM objects WHERE label IN ({marks})"  # noqa: S608
            for values in self.query(sql, some):
                found[values[0]] = dict(zip(OBJECT_COLUMNS, values, strict=True))
        return found

    def patches(self, op: int) -> Iterator[Patch]:
        """Pixels of a change, one box at a time."""
        ids = self.query("SELECT id FROM patches WHERE op = ? ORDER BY id", (op,))
        for (number,) in ids:
            sql = "SELECT plane, y0, x0, y1, x1, before, after FROM patches WHERE id = ?"
            plane, y0, x0, y1, x1, before, after = self.query(sql, (number,))[0]
            yield Patch(tuple(json.loads(plane)), (y0, x0, y1, x1), before, after)

    def last(self, state: str) -> tuple[int, dict[str, Any]] | None:
        """The change that undo (state "done") or redo ("undone") would take, and its record."""
        order = "DESC" if state == DONE else "ASC"
        sql = f"SELECT id, kind, record FROM ops WHERE state = ? ORDER BY id {order} LIMIT 1"  # noqa: S608
        found = self.query(sql, (state,))
        if not found:
            return None
        return found[0][0], {"kind": found[0][1], **json.loads(found[0][2])}

    def undrawn(self, after: int) -> list[tuple[int, int, str]]:
        """(seq, op, action) of every log entry later than `after`, in order."""
        rows = self.query("SELECT seq, op, action FROM log WHERE seq > ? ORDER BY seq", (after,))
        return [(int(seq), int(op), str(action)) for seq, op, action in rows]

    # ---- writing ------------------------------------------------------------------------------------------

    def add(self, change: Change, rendered: int) -> tuple[int, int]:
        """Write a change; what was undone before can no longer be redone, but stays in the file.

        Parameters
        ----------
        change : Change
            What to write.
        rendered : int
            The last `seq` whose pixels are on disk.

        Returns
        -------
        op, seq : int
            Numbers of the change and of its log entry.
        """
        now = time.time()
        with self._transaction() as db:
            db.execute("UPDATE ops SET state = ? WHERE state = ?", (DROPPED, UNDONE))
            values = (
                change.kind,
                DONE,
                now,
                change.next_before,
                change.next_after,
                json.dumps(change.record, default=_plain),
            )
            op = db.execute(
                "INSERT INTO ops (kind, state, time, next_before, next_after, record) VALUES (?, ?, ?, ?, ?, ?)", values
            ).lastrowid
            db.executemany(
                "INSERT INTO patches (op, plane, y0, x0, y1, x1, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(op, json.dumps(p.plane), *p.box, p.before, p.after) for p in change.patches],
            )
            for row in change.rows.values():
                if row[1] is not None:
                    row[1].setdefault("op", op)
            table = [(op, label, _dumped(before), _dumped(after)) for label, (before, after) in change.rows.items()]
            db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", table)
            _apply_rows(db, {label: after for label, (_, after) in change.rows.items()})
            _count(db, change.rows.values())
            seq = _logged(db, op, "do", now, change.next_after, rendered)
        return int(op or 0), seq

    def step(self, op: int, back: bool, rendered: int) -> int:
        """Mark a change as undone (`back`) or done again, with its objects' rows; returns the log entry's `seq`."""
        now = time.time()
        with self._transaction() as db:
            db.execute("UPDATE ops SET state = ? WHERE id = ?", (UNDONE if back else DONE, op))
            rows = db.execute("SELECT label, before, after FROM rows WHERE op = ?", (op,)).fetchall()
            _apply_rows(db, {label: _loaded(before if back else after) for label, before, after in rows})
            _count(db, [(after, before) if back else (before, after) for _, before, after in rows])
            before, after = db.execute("SELECT next_before, next_after FROM ops WHERE id = ?", (op,)).fetchone()
            return _logged(db, op, "undo" if back else "redo", now, before if back else after, rendered)

    def set_rendered(self, seq: int) -> None:
        """Note that the pixels show everything up to `seq`."""
        with self._transaction() as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'rendered'", (json.dumps(seq),))

    def add_indexes(self, statements: Iterable[str]) -> None:
        """Run ``CREATE INDEX IF NOT EXISTS`` statements; other versions keep such indexes up without knowing them."""
        with self._transaction() as db:
            for statement in statements:
                db.execute(statement)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    if self._db.in_transaction:  # a full disk makes SQLite roll back by itself
                        self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _failed(self.path, error) from error
                raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    place = path.absolute().as_posix()
    uri = f"file://{quote(place if place.startswith('/') else '/' + place)}?mode={mode}"  # network drives, too
    try:
        db = _open(uri)
        db.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        if mode != "ro":
            raise
        log = path.with_name(path.name + "-wal")
        if log.is_file() and log.stat().st_size:
            raise StoreError(
                f"{path}: has changes that only a writer can fold in, and its folder is read-only; open it once where "
                "it may be written, or copy the whole folder to such a place"
            ) from error
        db = _open(f"{uri}&immutable=1")  # a folder in which nothing may be written, not even SQLite's own index
    if mode != "ro":
        db.execute("PRAGMA journal_mode = WAL")  # falls back by itself where the file system cannot
        db.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut, too
    return db


def _open(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _logged(db: sqlite3.Connection, op: int | None, action: str, now: float, next_label: int, rendered: int) -> int:
    """Add a log entry and what goes with it; returns its `seq`."""
    seq = db.execute("INSERT INTO log (op, action, time) VALUES (?, ?, ?)", (op, action, now)).lastrowid
    values = {"next_label": next_label, "rendered": rendered}
    db.executemany("UPDATE meta SET value = ? WHERE key = ?", [(json.dumps(v), k) for k, v in values.items()])
    return int(seq or 0)


def _apply_rows(db: sqlite3.Connection, rows: dict[int, Row | None]) -> None:
    """Make the table of objects show these rows; None takes one out."""
    gone = [(label,) for label, row in rows.items() if row is None]
    db.executemany("DELETE FROM objects WHERE label = ?", gone)
    marks = ",".join("?" * len(OBJECT_COLUMNS))
    kept = [tuple(row[c] for c in OBJECT_COLUMNS) for row in rows.values() if row is not None]
    db.executemany(f"INSERT OR REPLACE INTO objects VALUES ({marks})", kept)  # noqa: S608 - only question marks


def _count(db: sqlite3.Connection, rows: Iterable[tuple[Any, Any]]) -> None:
    """Keep the number of objects, given rows (before, after)."""
    more = sum((after is not None) - (before is not None) for before, after in rows)
    if more:
        db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + ? WHERE key = 'objects'", (more,))


def _plain(value: Any) -> Any:
    """A numpy number as Python's own, for JSON."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in the journal")


def _dumped(row: Row | None) -> str | None:
    return None if row is None else json.dumps(row, default=_plain)


def _loaded(text: str | None) -> Row | None:
    return None if text is None else json.loads(text)


def _failed(path: Path, error: sqlite3.Error) -> StoreError:
    if isinstance(error, sqlite3.ProgrammingError):
        return StoreError(f"{path}: the store is closed; open it again")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        remedy = "the file is damaged; restore it from a backup"
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        remedy = "another program holds the file; close it and try again"
    else:
        remedy = (
            "see that there is room (free space, quota) and that the file may be written, then try again; "
            "nothing that was committed is lost"
        )
    return StoreError(f"{path}: {error}; {remedy}")
