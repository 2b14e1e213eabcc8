"""The tables of the journal: as documented, and the same in a migrated store."""

from __future__ import annotations

import re
import sqlite3
import zipfile
from pathlib import Path

import pytest

from napari_sam.io.labels.journal.journal import Journal
from napari_sam.io.labels.journal.schema import create_tables, migrate

DOCUMENT = Path(__file__).parents[4] / "docs" / "design" / "journal.md"
ARCHIVE = Path(__file__).parents[1] / "store_version_0_1.zip"


@pytest.fixture(scope="module")
def format_1(tmp_path_factory):
    """The statements that make an empty journal of version 0.1, from one that it wrote."""
    folder = tmp_path_factory.mktemp("version_0_1")
    with zipfile.ZipFile(ARCHIVE) as file:
        file.extract("cells.ome.zarr/journal.sqlite", folder)
    connection = sqlite3.connect(folder / "cells.ome.zarr" / "journal.sqlite")
    statements = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
    connection.close()
    facts = "INSERT INTO meta VALUES ('format', '1'), ('rendered', '0'), ('next_label', '1'), ('objects', '0')"
    return ";".join([*statements, facts])


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


def tables(connection):
    """Names and types of the columns, by table."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: [row[1:3] for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}


def indexes(connection):
    """Table of each index that has a name of ours."""
    rows = connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    return dict(rows.fetchall())


def documented_tables():
    text = DOCUMENT.read_text()
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    rows = {name: re.findall(r"^\| (\w+) \| ([A-Z]+) \|", body, re.MULTILINE) for name, body in sections}
    return {name: [tuple(row) for row in found] for name, found in rows.items()}


def documented_indexes():
    (section,) = re.findall(r"^## Indexes\n(.*?)(?=^## )", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\| (\w+) \| (\w+) \| (?!purpose)", section, re.MULTILINE))


def test_the_document_lists_the_tables_and_columns_that_are_made(database):
    create_tables(database)
    assert documented_tables() == tables(database)


def test_the_document_lists_the_indexes_that_are_made(database):
    create_tables(database)
    assert documented_indexes() == indexes(database)


def test_a_migrated_journal_has_the_tables_of_a_new_one(database, format_1):
    database.executescript(format_1)
    migrate(database, 1)
    new = sqlite3.connect(":memory:")
    create_tables(new)
    assert tables(database) == tables(new)
    assert indexes(database) == indexes(new)
    new.close()


@pytest.mark.parametrize(
    ("kind", "record", "run_id"),
    [
        ("everything", '{"run": "a", "tile": "0"}', "a"),
        ("commits", '{"source": {"run": "b"}}', "b"),
        ("commits", '{"source": {"table": "x.csv"}}', None),
        ("commit", '{"run": "c"}', None),
        ("commits", "damaged", None),
    ],
)
def test_migration_finds_the_run_of_a_change_in_its_record(database, format_1, kind, record, run_id):
    database.executescript(format_1)
    database.execute("INSERT INTO ops VALUES (1, ?, 'done', 0, 1, 1, ?)", (kind, record))
    migrate(database, 1)
    assert database.execute("SELECT run_id FROM ops").fetchall() == [(run_id,)]


def test_an_interrupted_migration_leaves_the_old_journal(tmp_path, format_1, monkeypatch):
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        connection.executescript(format_1)
    connection.close()

    def interrupted(connection, version):
        migrate(connection, version)
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_sam.io.labels.journal.journal.migrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Journal(tmp_path / "journal.sqlite", writable=True)
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone() == ("1",)
        assert "run_id" not in dict(tables(connection)["ops"])
    connection.close()
