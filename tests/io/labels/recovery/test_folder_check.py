"""Stores that somebody else made: nothing outside their folder is read, written, or waited for."""

from __future__ import annotations

import json
import os
import sqlite3

import numpy as np
import pytest

from napari_sam.errors import StoreError
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square


@pytest.fixture
def store(tmp_path):
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(1500, 40)) as labels:
        labels.commit(predicted(square()))
    return tmp_path / "s.ome.zarr"


def snapshot(folder):
    """Return everything in a folder: names, kinds and contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file" if path.is_file() else "other"
        found[str(path)] = (kind, path.read_bytes() if kind == "file" else b"")
    return found


def refused(store, match, outside=None):
    """Open a store in every way, and check that it is refused and that nothing is written."""
    before = snapshot(outside or store.parent)
    for attempt in (
        lambda: LabelStore.open(store),
        lambda: LabelStore.open(store, "r"),
        lambda: LabelStore.repair(store),
    ):
        with pytest.raises(StoreError, match=match):
            attempt()
    after = snapshot(outside or store.parent)
    ignored = ("journal.sqlite-shm", "journal.sqlite-wal")  # SQLite's own, also of a reader
    assert {k: v for k, v in after.items() if not k.endswith(ignored)} == {
        k: v for k, v in before.items() if not k.endswith(ignored)
    }


def with_levels(store, names):
    """Name other folders as the levels of a store."""
    meta = json.loads((store / "zarr.json").read_text())
    datasets = meta["attributes"]["ome"]["multiscales"][0]["datasets"]
    for dataset, name in zip(datasets, names, strict=False):
        dataset["path"] = name
    (store / "zarr.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("kind", ["absolute", "parent", "inner parent", "link", "list", "same"])
def test_levels_outside_the_store_are_refused_and_not_changed(store, tmp_path, kind):
    victim = tmp_path / "victim.ome.zarr"
    with LabelStore.create(victim, shape=(1500, 40)) as other:
        other.commit(predicted(square(30)))
    before = snapshot(victim)
    names = {
        "absolute": [str(victim / "0")],
        "parent": ["../victim.ome.zarr/0"],
        "inner parent": ["0/../../victim.ome.zarr/0"],
        "list": [["0"]],
        "same": ["1", "1"],
        "link": ["linked"],
    }[kind]
    if kind == "link":
        (store / "linked").symlink_to(victim / "0")
    with_levels(store, names)
    for mode in ("r", "r+"):
        with pytest.raises(StoreError, match=r"link|lie outside|distinct"):
            LabelStore.open(store, mode)
    assert snapshot(victim) == before


@pytest.mark.parametrize(
    "name", ["writer.json", "writer.lock", "journal.sqlite-wal", "zarr.json", "0/c", "0/zarr.json"]
)
def test_links_are_refused_and_what_they_lead_to_is_not_changed(store, tmp_path, name):
    target = tmp_path / "precious"
    path = store / name
    if path.is_dir():
        path.rename(target)
    else:
        target.write_text("precious")
        path.unlink(missing_ok=True)
    path.symlink_to(target)
    refused(store, "is a link")


@pytest.mark.parametrize("name", ["writer.json", "writer.lock"])
def test_a_link_to_a_file_that_does_not_exist_makes_none(store, tmp_path, name):
    (store / name).unlink(missing_ok=True)
    (store / name).symlink_to(tmp_path / "made")
    refused(store, "is a link")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["writer.json", "writer.lock", "journal.sqlite", "0/.drawn"])
def test_files_with_another_name_elsewhere_are_not_written(store, tmp_path, name):
    path = store / name
    path.write_text("precious") if not path.exists() else None
    os.link(path, tmp_path / "precious")
    before = (tmp_path / "precious").read_bytes()
    with pytest.raises(StoreError, match="name elsewhere"):
        LabelStore.open(store)
    with LabelStore.open(store, "r") as labels:  # a copy by hard links can still be read
        assert len(labels) == 1
    assert (tmp_path / "precious").read_bytes() == before


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["0/c/0/0", "1/zarr.json", "journal.sqlite-wal", "writer.json", "pipe"])
def test_pipes_are_refused_and_not_waited_for(store, name):
    (store / name).unlink(missing_ok=True)
    os.mkfifo(store / name)
    refused(store, "neither a file nor a folder")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM objects; END",
        "DROP TABLE objects; CREATE VIEW objects AS WITH RECURSIVE n(label) AS (SELECT 1 UNION ALL "
        "SELECT label + 1 FROM n) SELECT label, '' plane, 1 area_px, 0 y0, 0 x0, 1 y1, 1 x1, NULL category, "
        "NULL predicted_iou, NULL stability_score, NULL model, 1 op, 0.0 created FROM n",
        "DROP TABLE meta; CREATE VIEW meta AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT 'format' key, '2' value FROM n",
        "CREATE INDEX slow ON meta (hex(zeroblob(100)))",
        "DROP TABLE rows",
        "CREATE TABLE wallet (key TEXT)",
    ],
)
def test_a_file_with_other_tables_views_or_triggers_is_no_journal(store, statement):
    connection = sqlite3.connect(store / "journal.sqlite")
    connection.executescript(statement)
    connection.close()
    refused(store, "is not a journal")


def test_any_other_database_is_refused_and_not_changed(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    connection = sqlite3.connect(folder / "journal.sqlite")
    connection.executescript("CREATE TABLE mine (secret TEXT); INSERT INTO mine VALUES ('x')")
    connection.close()
    refused(folder, "is not a journal")


def chunked(store, shape=None, chunks=None, codecs=None):
    """Change the declared chunks of level 0."""
    path = store / "0" / "zarr.json"
    meta = json.loads(path.read_text())
    if shape is not None:
        meta["shape"] = shape
    if chunks is not None:
        meta["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    if codecs is not None:
        meta["codecs"] = codecs
    path.write_text(json.dumps(meta))


@pytest.mark.parametrize(
    "declared",
    [
        {"chunks": [1 << 20, 1 << 20], "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]},
        {"shape": [-1, 40]},
        {"shape": [1500, 40, 3]},
        {"shape": "wide"},
        {"codecs": [{"name": "pickle"}]},
        {"codecs": "bytes"},
        {"chunks": [0, 0]},
        {"chunks": [1 << 70, 1]},
    ],
)
def test_declared_sizes_and_codecs_are_checked_before_memory_is_allocated(store, declared):
    chunked(store, **declared)
    with pytest.raises(StoreError):
        LabelStore.open(store)
    with pytest.raises(StoreError):
        LabelStore.open(store, "r")
    with LabelStore.repair(store) as labels:
        assert (labels.array[:10, :10] == 1).all()


@pytest.mark.parametrize(
    "text", ["[]", "3", "{", "[" * 100_000, '{"attributes": []}', '{"attributes": {"ome": "x"}}', ""]
)
def test_damaged_metadata_is_one_line_and_can_be_repaired(store, text):
    for name in ("zarr.json", "1/zarr.json"):
        original = (store / name).read_text()
        (store / name).write_text(text)
        with pytest.raises(StoreError, match=r"repair") as caught:
            LabelStore.open(store)
        assert "\n" not in str(caught.value)
        (store / name).write_text(original)
    (store / "zarr.json").write_text(text)
    with LabelStore.repair(store) as labels:
        np.testing.assert_array_equal(np.unique(labels.array[...]), [0, 1])
