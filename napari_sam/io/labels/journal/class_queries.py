"""Queries and writing of the table of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.class_rows import CLASS_COLUMNS, ObjectClass, class_pair
from napari_sam.io.labels.journal.row_values import text, whole

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from napari_sam.io.labels.journal._database import Database
    from napari_sam.io.labels.journal.class_rows import ClassBeforeAfter
    from napari_sam.io.labels.journal.rows import ObjectRow

_PAGE = 500  # parameters of one query
_SELECT = f"SELECT {','.join(CLASS_COLUMNS)} FROM classes"  # noqa: S608 - fixed words


class ClassQueries:
    """Queries of the classes; a part of `Journal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ObjectClass]:
        """Return all classes by position, also those that only objects name, which a damaged table may have lost."""
        declared = self._database.read(ObjectClass.from_columns, f"{_SELECT} ORDER BY position, name")
        sql = (
            "SELECT DISTINCT category FROM objects WHERE category IS NOT NULL "
            "AND category NOT IN (SELECT name FROM classes) ORDER BY category"
        )
        last = max((item.position for item in declared), default=0)
        others = self._database.read(text, sql)
        return declared + [ObjectClass(name, last + i) for i, name in enumerate(others, start=1)]

    def row(self, name: str) -> ObjectClass | None:
        """Return a class of the table, or None."""
        return self._database.read_one(ObjectClass.from_columns, f"{_SELECT} WHERE name = ?", (name,))

    def next_position(self) -> int:
        """Return the position of a new class."""
        return self._database.ask(_next_position)

    def children(self, name: str) -> list[ObjectClass]:
        """Return the classes that are directly a kind of another one, by position."""
        return self._database.read(ObjectClass.from_columns, f"{_SELECT} WHERE parent = ? ORDER BY position", (name,))

    def with_key(self, key: int) -> ObjectClass | None:
        """Return the class of a key, or None."""
        return self._database.read_one(ObjectClass.from_columns, f"{_SELECT} WHERE key = ?", (key,))

    def objects_of(self, name: str) -> list[int]:
        """Return the ids of the objects of a class, not of the classes below it, ascending."""
        return self._database.read(whole, "SELECT label FROM objects WHERE category = ? ORDER BY label", (name,))

    def counts(self) -> dict[str, int]:
        """Return the number of objects of each class that has any."""
        sql = "SELECT category, count(*) FROM objects WHERE category IS NOT NULL GROUP BY category"
        return dict(self._database.read(lambda name, count: (text(name), whole(count)), sql))

    def added_by(self, op: int) -> list[ObjectClass]:
        """Return the classes that a change added, in their order."""
        sql = "SELECT after FROM class_rows WHERE op = ? AND before IS NULL AND after IS NOT NULL ORDER BY rowid"
        return [item for item in self._database.read(ObjectClass.from_json, sql, (op,)) if item is not None]

    def check_changes(self, op: int) -> None:
        """Raise `StoreError` if what a change did to classes is damaged."""
        self._database.read(class_pair, "SELECT name, before, after FROM class_rows WHERE op = ?", (op,))


def with_new_classes(
    db: sqlite3.Connection,
    classes: list[ClassBeforeAfter],
    rows: Iterable[tuple[ObjectRow | None, ObjectRow | None]],
) -> list[ClassBeforeAfter]:
    """Return what a change does to the classes, and the classes that its objects are the first to name.

    Parameters
    ----------
    db : sqlite3.Connection
        In a transaction.
    classes : list of (ObjectClass or None, ObjectClass or None)
        Classes that the change adds, changes or removes.
    rows : iterable of (ObjectRow or None, ObjectRow or None)
        Its objects before and after.
    """
    named = dict.fromkeys(
        after.category
        for before, after in rows
        if after is not None and after.category is not None and (before is None or before.category != after.category)
    )
    for item in (item for pair in classes for item in pair if item is not None):
        named.pop(item.name, None)
    if not named:
        return classes
    known: set[str] = set()
    names = list(named)
    for start in range(0, len(names), _PAGE):
        page = names[start : start + _PAGE]
        sql = f"SELECT name FROM classes WHERE name IN ({','.join('?' * len(page))})"  # noqa: S608
        known |= {str(name) for (name,) in db.execute(sql, page)}
    new = [name for name in names if name not in known]
    added = [after.position for _, after in classes if after is not None]
    first = max(_next_position(db), *(position + 1 for position in added), 1) if new else 1
    return classes + [(None, ObjectClass(name, first + i)) for i, name in enumerate(new)]


def add_class_rows(db: sqlite3.Connection, op: int, classes: list[ClassBeforeAfter]) -> None:
    """Write what a change does to the classes, in the caller's transaction."""
    entries = []
    for before, after in classes:
        item = after or before
        if item is None:
            raise ValueError("neither before nor after a change")
        entries.append((op, item.name, before and before.to_json(), after and after.to_json()))
        _set_class(db, item.name, after)
    db.executemany("INSERT INTO class_rows VALUES (?, ?, ?, ?)", entries)


def step_classes(db: sqlite3.Connection, op: int, undo: bool) -> None:
    """Undo or redo what a change did to the classes, in the caller's transaction, after its objects.

    A class that was changed otherwise since stays as it is, and one that objects still have is not removed: a
    whole-image run can be undone before later changes.

    Raises
    ------
    ValueError
        If a row is damaged.
    """
    entries = db.execute("SELECT name, before, after FROM class_rows WHERE op = ?", (op,)).fetchall()
    for name, before, after in entries[::-1] if undo else entries:
        source, target = class_pair(name, before, after)[:: -1 if undo else 1]
        found = db.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
        if (None if found is None else ObjectClass.from_columns(*found)) != source:
            continue
        used = target is None and db.execute("SELECT 1 FROM objects WHERE category = ? LIMIT 1", (name,)).fetchone()
        if not used:
            _set_class(db, str(name), target)


def _set_class(db: sqlite3.Connection, name: str, item: ObjectClass | None) -> None:
    if item is None:
        db.execute("DELETE FROM classes WHERE name = ?", (name,))
        return
    marks = ",".join("?" * len(CLASS_COLUMNS))
    db.execute(f"INSERT OR REPLACE INTO classes ({','.join(CLASS_COLUMNS)}) VALUES ({marks})", item.columns())  # noqa: S608


def _next_position(connection: sqlite3.Connection) -> int:
    (position,) = connection.execute("SELECT coalesce(max(position), 0) + 1 FROM classes").fetchone()
    return whole(position)
