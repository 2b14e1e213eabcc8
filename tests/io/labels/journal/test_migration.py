"""Stacks whose journal has an earlier format, where an object lies on one plane: read, migrated, undone."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest

from napari_sam.io.labels.journal.schema import create_tables
from napari_sam.io.labels.label_store import LabelStore


def downgrade(path, version):
    """Write the journal of a store again in an earlier format."""
    connection = sqlite3.connect(path / "old.sqlite")
    create_tables(connection, version)
    connection.execute("ATTACH ? AS new", (str(path / "journal.sqlite"),))
    planes = ("object_planes", "plane_rows") if version >= 3 else ()
    for table in ("meta", "ops", "patches", "rows", "log", "objects", *planes):
        columns = ",".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
        connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
    for key in ("before", "after") if version < 3 else ():
        removed = f"UPDATE rows SET {key} = json_remove({key}, '$.n_planes', '$.parent') WHERE {key} IS NOT NULL"
        connection.execute(removed)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(version),))
    connection.commit()
    connection.close()
    (path / "old.sqlite").replace(path / "journal.sqlite")


@pytest.fixture(params=[1, 2, 3])
def old(request, tmp_path):
    """A stack of an earlier version: objects on single planes, one of them erased, one moved and shrunk."""
    with LabelStore.create(tmp_path / "s", shape=(2, 12, 30, 30)) as store:
        store.paint(np.full((4, 5), 1), (1, 2), plane=(0, 3))
        store.paint(np.full((4, 5), 2), (10, 12), plane=(1, 11))
        store.paint(np.full((3, 3), 3), (20, 20), plane=(1, 11))
        store.erase(3)
        store.paint(np.zeros((4, 2), int), (1, 2), plane=(0, 3))
        store.set_category(2, "nucleus")
        store.set_category(1, "it's a cell")
    downgrade(store.path, request.param)
    return store.path


def planes(store):
    parts = {row.label: store.journal.objects.planes_of(row.label) for row in store.journal.objects.table()}
    return {label: [(part.plane, part.area_px, tuple(part.box)) for part in found] for label, found in parts.items()}


EXPECTED = {1: [((0, 3), 12, (1, 4, 5, 7))], 2: [((1, 11), 20, (10, 12, 14, 17))]}


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_objects_are_found_by_plane(old, mode):
    with LabelStore.open(old, mode) as store:
        assert planes(store) == EXPECTED
        assert store.table()["n_planes"].tolist() == [1, 1]
        assert store.journal.objects.planes() == [(0, 3), (1, 11)]
        assert [part.label for part in store.journal.objects.of_plane((1, 11))] == [2]
        assert store.journal.objects.any_in_box((0, 0, 9, 9), (0, 3))
        assert not store.journal.objects.any_in_box((0, 0, 9, 9), (1, 11))
        store.journal.check_all()


def test_changes_of_the_earlier_version_are_undone_and_redone(old):
    with LabelStore.open(old) as store:
        for _ in range(3):
            store.undo()
        assert planes(store)[1] == [((0, 3), 20, (1, 2, 5, 7))]
        store.undo()
        assert planes(store)[3] == [((1, 11), 9, (20, 20, 23, 23))]
        while store.redo():
            pass
        assert planes(store) == EXPECTED
        while store.undo():
            pass
        assert planes(store) == {}
        assert store.journal.objects.all_parts() == []


def test_objects_get_more_planes_after_the_migration(old):
    with LabelStore.open(old) as store:
        store.commit_planes({(0, 4): (np.ones((2, 2), bool), (0, 0, 2, 2))}, label=1)
        assert [plane for plane, *_ in planes(store)[1]] == [(0, 3), (0, 4)]
    with LabelStore.open(old, "r") as store:
        assert store.table()["n_planes"].tolist() == [2, 1]
        store.journal.check_all()


def test_a_damaged_row_does_not_keep_a_journal_from_its_migration(old):
    connection = sqlite3.connect(old / "journal.sqlite")
    connection.execute("UPDATE rows SET before = '{' WHERE before IS NOT NULL")
    connection.commit()
    connection.close()
    with LabelStore.open(old) as store:
        assert planes(store) == EXPECTED
        assert json.loads(json.dumps(store.object(1)))["n_planes"] == 1


def test_the_categories_of_objects_become_classes_with_the_same_colours_for_readers_and_writers(old):
    with LabelStore.open(old, "r") as store:
        shown = store.classes.colours
        assert store.classes.counts() == {"it's a cell": 1, "nucleus": 1}
        assert store.select(category="nucleus") == [2]
    with LabelStore.open(old) as store:
        assert store.classes.colours == shown
        assert list(shown) == ["it's a cell", "nucleus"]
        store.classes.rename("nucleus", "core")
        store.undo()
        assert store.classes.colours == shown
        store.journal.check_all()
