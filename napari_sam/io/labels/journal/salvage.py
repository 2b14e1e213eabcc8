"""Copy what is sound of a damaged journal into a new one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from napari_sam.errors import StoreError
from napari_sam.io.labels.journal._database import INVALID, Database
from napari_sam.io.labels.journal.class_rows import CLASS_COLUMNS, ObjectClass, class_pair
from napari_sam.io.labels.journal.journal import Journal
from napari_sam.io.labels.journal.meta_values import check_fact
from napari_sam.io.labels.journal.row_values import check_inside, text, whole
from napari_sam.io.labels.journal.rows import (
    DONE,
    DROPPED,
    OBJECT_COLUMNS,
    PLANE_COLUMNS,
    UNDONE,
    JournaledChange,
    ObjectPlane,
    ObjectRow,
    Patch,
    plane_pair,
)
from napari_sam.io.labels.journal.schema import EMPTY, FORMAT, show_as_current, unknown_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_PAGE = 500
_MOST_QUERIES = 50_000  # of one table: a file that is damaged everywhere is given up
_LARGEST_ID = 1 << 40
_COLUMNS = {
    "ops": "id, kind, state, time, next_before, next_after, record, run_id",
    "patches": "id, op, plane, y0, x0, y1, x1, before, after",
    "rows": "op, label, before, after",
    "log": "seq, op, action, time",
    "objects": ",".join(OBJECT_COLUMNS),
    "object_planes": ",".join(PLANE_COLUMNS),
    "plane_rows": "op, label, plane, before, after",
    "classes": ",".join(CLASS_COLUMNS),
    "class_rows": "op, name, before, after",
}
_FORMATS_BEFORE = {str(version): version for version in range(1, FORMAT)}


def check_salvageable(source: Path) -> None:
    """Refuse a file that is not a damaged journal of this program.

    Raises
    ------
    StoreError
        If it has tables, views or triggers of somebody else, or was written by a newer version.
    """
    try:
        database = Database(source, "ro")
    except StoreError:
        return  # not even a database any more
    try:
        unknown = database.ask(unknown_entry)
        version = None if unknown else database.read_one(text, "SELECT value FROM meta WHERE key = 'format'")
    except StoreError:
        return
    finally:
        database.close()
    if unknown is not None and unknown != EMPTY:
        raise StoreError(
            f"{source}: is not a journal, or a damaged one: it has {unknown}",
            remedy="restore it from a backup; it is not repaired",
        )
    if version is not None and version.isdigit() and int(version) > FORMAT:
        raise StoreError(f"{source}: the journal has format {version}", remedy="upgrade napari-sam-xl")


class Salvage:
    """Copies the sound rows of a journal.

    Parameters
    ----------
    source : Path
        The damaged file, which `check_salvageable` has checked and which is only read.
    target : Path
        The new file.
    facts : mapping
        Facts about the store to use where the file has none that are sound; ``shape`` must be among them.

    Attributes
    ----------
    lost : list of str
        What could not be copied.

    Raises
    ------
    StoreError
        If the new file cannot be written.
    """

    def __init__(self, source: Path, target: Path, facts: Mapping[str, object]) -> None:
        self.lost: list[str] = []
        self._target = target
        database = self._open(source)
        try:
            meta = dict(facts) | self._sound_facts(database)
            shape = meta["shape"]
            self._shape = tuple(whole(n) for n in shape) if isinstance(shape, list) else ()
            Journal.create(target, {**meta, "rendered": 0})
            writer = Database(target, "rw")
            try:
                if database is not None:
                    self._copy_all(database, writer)
            finally:
                writer.close()
        finally:
            if database is not None:
                database.close()

    def _open(self, source: Path) -> Database | None:
        """Open the damaged file; None if nothing of it can be read."""
        try:
            database = Database(source, "ro")
            try:
                if database.ask(unknown_entry) == EMPTY:
                    raise StoreError("the file is empty")
                version = database.read_one(text, "SELECT value FROM meta WHERE key = 'format'")
                if version in _FORMATS_BEFORE:
                    show_as_current(database.connection, _FORMATS_BEFORE[version])
            except BaseException:
                database.close()
                raise
        except StoreError as error:
            self.lost.append(f"the whole history ({error.message})")
            return None
        return database

    def _sound_facts(self, database: Database | None) -> dict[str, object]:
        facts: dict[str, object] = {}
        if database is None:
            return facts
        try:
            keys = database.read(text, "SELECT key FROM meta")
        except StoreError:
            keys = ["shape", "scale", "axes", "unit", "crs", "transform", "image", "created", "placements", "levels"]
        for key in keys:
            try:
                value = database.read_one(text, "SELECT value FROM meta WHERE key = ?", (key,))
                if value is not None and key != "format":
                    fact = json.loads(value)
                    check_fact(key, fact)
                    facts[key] = fact
            except (StoreError, *INVALID):
                self.lost.append(f"the fact {key!r}")
        return facts

    def _copy_all(self, database: Database, writer: Database) -> None:
        history = _History()
        self._copy(database, writer, "ops", lambda *row: _check_change(history, *row))
        self._copy(database, writer, "patches", lambda *row: self._check_patch(history, *row))
        self._copy(database, writer, "rows", lambda *row: _check_row(history, *row))
        self._copy(database, writer, "log", lambda *row: _check_entry(history, *row))
        self._copy(database, writer, "objects", self._check_object)
        self._copy(database, writer, "object_planes", self._check_object_plane)
        self._copy(database, writer, "plane_rows", lambda *row: _check_plane_row(history, *row))
        self._copy(database, writer, "classes", ObjectClass.from_columns)
        self._copy(database, writer, "class_rows", lambda *row: _check_class_row(history, *row))
        dropped = history.unusable()
        with writer.transaction() as connection:
            for op in dropped:
                connection.execute("UPDATE ops SET state = ? WHERE id = ?", (DROPPED, op))
                connection.execute("DELETE FROM patches WHERE op = ?", (op,))
                connection.execute("DELETE FROM rows WHERE op = ?", (op,))
                connection.execute("DELETE FROM plane_rows WHERE op = ?", (op,))
                connection.execute("DELETE FROM class_rows WHERE op = ?", (op,))
        if dropped:
            self.lost.append(f"undo of changes {_some(dropped)}")

    def _copy(self, database: Database, writer: Database, table: str, check: Callable[..., object]) -> None:
        """Copy the rows of a table that pass a check."""
        columns = _COLUMNS[table]
        marks = ",".join("?" * len(columns.split(",")))
        lost = 0
        with writer.transaction() as connection:
            for row in _readable_rows(database, table, columns):
                try:
                    if row is None:
                        raise ValueError("a row cannot be read")
                    check(*row)
                    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", row)  # noqa: S608
                except (StoreError, sqlite3.IntegrityError, *INVALID):
                    lost += 1
        if lost:
            self.lost.append(f"{lost} entries of the table {table}")

    def _check_patch(self, history: _History, *row: object) -> None:
        _, op, *values = row
        with history.blaming(op):
            patch = Patch.from_columns(*values)
            check_inside(self._shape, patch.plane, patch.box)
            for after in (False, True):
                patch.labels(after)

    def _check_object(self, *row: object) -> None:
        found = ObjectRow.from_columns(*row)
        check_inside(self._shape, found.plane, found.box)

    def _check_object_plane(self, *row: object) -> None:
        found = ObjectPlane.from_columns(*row)
        check_inside(self._shape, found.plane, found.box)


class _History:
    """Changes that were read, the damaged ones among them, and the objects that each touched."""

    def __init__(self) -> None:
        self.changes: set[int] = set()
        self._damaged: set[int] = set()
        self._labels: dict[int, set[int]] = {}

    @contextlib.contextmanager
    def blaming(self, op: object) -> Iterator[None]:
        """Note a change as damaged if something of it is, or if the change itself is lost."""
        try:
            yield
            if whole(op) not in self.changes:
                raise ValueError(f"change {op} is lost")
        except (StoreError, *INVALID):
            if isinstance(op, int):
                self._damaged.add(op)
            raise

    def touches(self, op: object, label: object) -> None:
        """Note that a change touched an object."""
        if isinstance(op, int) and isinstance(label, int):
            self._labels.setdefault(op, set()).add(label)

    def unusable(self) -> set[int]:
        """Return the changes that can be neither drawn nor undone: those damaged, and later ones of their objects."""
        touched: set[int] = set()
        found: set[int] = set()
        for op in sorted(self.changes | self._damaged):
            labels = self._labels.get(op, set())
            if op in self._damaged or not touched.isdisjoint(labels):
                touched |= labels
                found.add(op)
        return found & self.changes


def _check_change(history: _History, *row: object) -> None:
    op, kind, state, time, next_before, next_after, record, run_id = row
    JournaledChange.from_columns(op, kind, state, time, run_id, record)
    if state not in (DONE, UNDONE, DROPPED):
        raise ValueError(f"state {state!r}")
    for number in (next_before, next_after):
        whole(number)
    history.changes.add(whole(op))


def _check_row(history: _History, *row: object) -> None:
    op, label, before, after = row
    history.touches(op, label)
    with history.blaming(op):
        whole(label)
        for content in (before, after):
            ObjectRow.from_json(content)


def _check_plane_row(history: _History, *row: object) -> None:
    op, *columns = row
    with history.blaming(op):
        plane_pair(*columns)


def _check_class_row(history: _History, *row: object) -> None:
    op, *columns = row
    with history.blaming(op):
        class_pair(*columns)


def _check_entry(history: _History, *row: object) -> None:
    seq, op, action, time = row
    if whole(op) not in history.changes or action not in ("do", "undo", "redo") or not isinstance(time, float):
        raise ValueError(f"entry {seq}")


def _readable_rows(database: Database, table: str, columns: str) -> Iterator[tuple[Any, ...] | None]:
    """Iterate over the rows of a table in order; None for each part of the file that cannot be read."""
    key = {
        "ops": "id",
        "patches": "id",
        "rows": "rowid",
        "log": "seq",
        "objects": "label",
        "object_planes": "label",
        "plane_rows": "op",
        "classes": "position",
        "class_rows": "op",
    }[table]
    sql = f"SELECT {columns} FROM {table} WHERE {key} >= ? AND {key} < ? ORDER BY {key}"  # noqa: S608
    try:
        last = database.read_one(whole, f"SELECT coalesce(max({key}), 0) FROM {table}") or 0  # noqa: S608
    except StoreError:
        last = _LARGEST_ID
    waiting = [(start, min(start + _PAGE, last + 1)) for start in range(1, min(last, _PAGE * _PAGE) + 1, _PAGE)][::-1]
    if last > _PAGE * _PAGE:
        waiting.insert(0, (_PAGE * _PAGE + 1, last + 1))
    queries = 0
    while waiting and queries < _MOST_QUERIES:
        low, high = waiting.pop()
        queries += 1
        try:
            yield from database.read(lambda *row: row, sql, (low, high))
        except StoreError:
            if high - low <= 1:
                yield None
            else:
                middle = (low + high) // 2
                waiting += [(middle, high), (low, middle)]
    if waiting:
        yield None


def _some(numbers: set[int]) -> str:
    shown = sorted(numbers)
    return ", ".join(map(str, shown[:10])) + (" …" if len(shown) > 10 else "")
