"""Tables and indexes of the journal, and the migration of journals of earlier versions.

`docs/design/journal.md` describes every column; a test compares it with the tables made here.
"""

from __future__ import annotations

import functools
import sqlite3

from napari_sam.io.labels.journal.rows import OBJECT_COLUMNS, PLANE_COLUMNS

FORMAT = 4
"""Version of the schema. Version 0.1 of the program writes 1, and refuses to open anything higher."""

EMPTY = "no tables"
"""What `unknown_entry` says of an empty file."""

_RUN_ID = (
    "CASE WHEN NOT json_valid(record) THEN NULL "
    "WHEN kind = 'everything' THEN json_extract(record, '$.run') "
    "WHEN kind = 'commits' THEN json_extract(record, '$.source.run') END"
)
VERDICT_LABEL = "CAST(json_extract(record, '$.label') AS INTEGER)"
"""Object that a verdict is about; an integer like `objects.label`, or SQLite would not use the index."""
IS_VERDICT = "state = 'done' AND kind IN ('review', 'commit')"

_RUN_ID_COLUMN = ", run_id TEXT"
_STACK_COLUMNS = ",\n    n_planes INTEGER NOT NULL DEFAULT 1, parent INTEGER"
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ops (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, time REAL NOT NULL,
    next_before INTEGER NOT NULL, next_after INTEGER NOT NULL, record TEXT NOT NULL, run_id TEXT);
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
    category TEXT, predicted_iou REAL, stability_score REAL, model TEXT, op INTEGER NOT NULL, created REAL NOT NULL,
    n_planes INTEGER NOT NULL DEFAULT 1, parent INTEGER);
"""
_STACK_TABLES = """
CREATE TABLE object_planes (
    label INTEGER NOT NULL, plane TEXT NOT NULL, area_px INTEGER NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    predicted_iou REAL, PRIMARY KEY (label, plane)) WITHOUT ROWID;
CREATE INDEX objects_by_plane ON object_planes (plane);
CREATE TABLE plane_rows (
    op INTEGER NOT NULL REFERENCES ops (id), label INTEGER NOT NULL, plane TEXT NOT NULL, before TEXT, after TEXT);
CREATE INDEX plane_rows_by_op ON plane_rows (op);
CREATE INDEX objects_by_parent ON objects (parent) WHERE parent IS NOT NULL;
"""
_CLASS_TABLES = """
CREATE TABLE classes (
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, colour TEXT, parent TEXT, key INTEGER) WITHOUT ROWID;
CREATE TABLE class_rows (op INTEGER NOT NULL REFERENCES ops (id), name TEXT NOT NULL, before TEXT, after TEXT);
CREATE INDEX class_rows_by_op ON class_rows (op);
CREATE INDEX objects_by_category ON objects (category) WHERE category IS NOT NULL;
"""
_CLASSES_OF_OBJECTS = (
    "SELECT name, row_number() OVER (ORDER BY name) AS position, NULL AS colour, NULL AS parent, NULL AS key "
    "FROM (SELECT DISTINCT CAST(category AS TEXT) AS name FROM main.objects WHERE category IS NOT NULL)"
)  # earlier versions knew a class only from its objects
_NO_CLASS_ROWS = "SELECT 0 AS op, '' AS name, NULL AS before, NULL AS after WHERE 0"
_PLANES_OF_OBJECTS = "SELECT label, plane, area_px, y0, x0, y1, x1, predicted_iou FROM main.objects WHERE plane <> ''"
_PLANE_ROWS_OF_ROWS = (
    "SELECT op, label, coalesce(json_extract(after, '$.plane'), json_extract(before, '$.plane')) AS plane, "  # noqa: S608
    + ", ".join(
        f"CASE WHEN {column} IS NOT NULL THEN json_array("
        + ", ".join(f"json_extract({column}, '$.{name}')" for name in PLANE_COLUMNS)
        + f") END AS {column}"
        for column in ("before", "after")
    )
    + " FROM (SELECT op, label, CASE WHEN json_valid(before) THEN before END AS before, "
    "CASE WHEN json_valid(after) THEN after END AS after FROM main.rows) "
    "WHERE coalesce(json_extract(after, '$.plane'), json_extract(before, '$.plane')) <> ''"
)  # of what the changes did to the rows of objects, each of which lay on one plane
_NEW_INDEXES = (  # added in format 2; version 0.1 made the last two when a review began
    "CREATE INDEX ops_by_run ON ops (run_id, id) WHERE run_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS objects_by_confidence ON objects (predicted_iou, label)",
    f"CREATE INDEX IF NOT EXISTS verdicts ON ops ({VERDICT_LABEL}, id) WHERE {IS_VERDICT}",
)


def create_tables(connection: sqlite3.Connection, version: int = FORMAT) -> None:
    """Make the tables and indexes of a new journal, inside the caller's transaction.

    Parameters
    ----------
    connection : sqlite3.Connection
        Open for writing.
    version : int
        Format of the journal.
    """
    tables = _TABLES if version >= 2 else _TABLES.replace(_RUN_ID_COLUMN, "")
    _execute_each(connection, tables if version >= 3 else tables.replace(_STACK_COLUMNS, ""))
    for statement in _NEW_INDEXES if version >= 2 else ():
        connection.execute(statement)
    if version >= 3:
        _execute_each(connection, _STACK_TABLES)
    if version >= 4:
        _execute_each(connection, _CLASS_TABLES)


def _execute_each(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements one by one; `executescript` would end the transaction."""
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(statement)


def unknown_entry(connection: sqlite3.Connection) -> str | None:
    """Return what a file has that no version makes, such as a view or a trigger; None for a journal's tables.

    Such things run when the tables are read, so this is asked before any other query.

    Parameters
    ----------
    connection : sqlite3.Connection
        Any SQLite file.
    """
    entries = connection.execute("SELECT type, name, sql FROM main.sqlite_master LIMIT 100").fetchall()
    tables = set()
    for kind, name, sql in entries:
        if str(name).startswith(("sqlite_stat", "sqlite_autoindex")):
            continue
        if _plain(sql) not in _known_statements():
            return f"the {kind} {name}, which is none of a journal"
        tables.add(name)
    if not entries:
        return EMPTY
    missing = sorted({"meta", "ops", "patches", "rows", "log", "objects"} - tables)
    return f"no table {missing[0]}" if missing else None


@functools.cache
def _known_statements() -> frozenset[str]:
    """Return the statements that make tables and indexes, of all versions."""
    found: set[str] = set()
    for version in range(1, FORMAT + 1):
        connection = sqlite3.connect(":memory:")
        try:
            create_tables(connection, version)
            found |= {_plain(sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
            if version < FORMAT:
                migrate(connection, version)
                found |= {_plain(sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
        finally:
            connection.close()
    return frozenset(found)


def _plain(sql: object) -> str:
    return "".join(str(sql).split())


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Migrate the tables of an earlier version, inside the caller's transaction.

    Parameters
    ----------
    connection : sqlite3.Connection
        Open for writing.
    version : int
        Format of the journal.
    """
    if version < 2:
        connection.execute("ALTER TABLE ops ADD COLUMN run_id TEXT")
        connection.execute(f"UPDATE ops SET run_id = {_RUN_ID} WHERE kind IN ('everything', 'commits')")  # noqa: S608
        for statement in _NEW_INDEXES:
            connection.execute(statement)
    if version < 3:
        for column in _STACK_COLUMNS.removeprefix(",").split(","):
            connection.execute(f"ALTER TABLE objects ADD COLUMN {column}")
        _execute_each(connection, _STACK_TABLES)
        connection.execute(f"INSERT INTO object_planes {_PLANES_OF_OBJECTS}")
        connection.execute(f"INSERT INTO plane_rows {_PLANE_ROWS_OF_ROWS}")
    if version < 4:
        _execute_each(connection, _CLASS_TABLES)
        connection.execute(f"INSERT INTO classes {_CLASSES_OF_OBJECTS}")
    connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT),))


def show_as_current(connection: sqlite3.Connection, version: int) -> None:
    """Make a journal of an earlier version, open for reading, answer present queries.

    A temporary view replaces the table; nothing is written to the file.

    Parameters
    ----------
    connection : sqlite3.Connection
        Open for reading.
    version : int
        Format of the journal.
    """
    connection.execute("PRAGMA temp_store = MEMORY")
    if version < 4:
        connection.execute(f"CREATE TEMP VIEW classes AS {_CLASSES_OF_OBJECTS}")
        connection.execute(f"CREATE TEMP VIEW class_rows AS {_NO_CLASS_ROWS}")
    if version < 3:
        old = ", ".join(OBJECT_COLUMNS[:-2])
        connection.execute(f"CREATE TEMP VIEW objects AS SELECT {old}, 1 AS n_planes, NULL AS parent FROM main.objects")  # noqa: S608
        connection.execute(f"CREATE TEMP VIEW object_planes AS {_PLANES_OF_OBJECTS}")
        connection.execute(f"CREATE TEMP VIEW plane_rows AS {_PLANE_ROWS_OF_ROWS}")
    if version < 2:
        columns = "id, kind, state, time, next_before, next_after, record"
        connection.execute(f"CREATE TEMP VIEW ops AS SELECT {columns}, {_RUN_ID} AS run_id FROM main.ops")  # noqa: S608
