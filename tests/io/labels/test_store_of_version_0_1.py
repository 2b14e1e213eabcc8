"""A store that version 0.1 wrote: the same objects and pixels, undo and redo, opened for writing or reading."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.replay import to_script
from napari_sam.io.labels.review_queue import ReviewQueue

FOLDER = Path(__file__).parent
EXPECTED = json.loads((FOLDER / "store_version_0_1.json").read_text())


@pytest.fixture
def path(tmp_path):
    """The store, as version 0.1 left it."""
    with zipfile.ZipFile(FOLDER / "store_version_0_1.zip") as file:
        file.extractall(tmp_path)
    return tmp_path / "cells.ome.zarr"


def rows(labels):
    table = labels.table()[EXPECTED["columns"]].astype(object)
    return table.where(table.notna(), None).values.tolist()


def state(labels):
    """Hashes of objects and pixels, as the script that made the store computes them."""
    pixels = np.ascontiguousarray(labels.array[...], "<u4")
    return {
        "pixels": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "table": hashlib.sha256(json.dumps(rows(labels)).encode()).hexdigest(),
        "reviewed": sorted(labels.reviewed()),
        "next_label": labels.next_label,
    }


def stored_format(path):
    connection = sqlite3.connect(path / "journal.sqlite")
    (value,) = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    connection.close()
    return int(value)


@pytest.mark.parametrize(("mode", "version"), [("r", 1), ("r+", 4)])
def test_objects_pixels_and_history_are_the_same(path, mode, version):
    with LabelStore.open(path, mode) as labels:
        assert state(labels) == EXPECTED["as_opened"]
        assert rows(labels) == EXPECTED["rows"]
        assert labels.history().kind.tolist() == EXPECTED["kinds"]
        assert labels.history().state.tolist() == EXPECTED["states"]
    assert stored_format(path) == version


def test_undone_changes_are_redone(path):
    with LabelStore.open(path) as labels:
        for expected in EXPECTED["redone"]:
            assert labels.redo() is not None
            assert state(labels) == expected
        assert not labels.can_redo


def test_every_change_is_undone_and_a_whole_run_in_one_step(path):
    with LabelStore.open(path) as labels:
        while labels.redo():
            pass
        for expected in EXPECTED["undone"]:
            assert labels.undo() is not None
            assert state(labels) == expected
        assert labels.undo() is None
        assert not labels.array[...].any()


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_changes_are_found_by_their_run(path, mode):
    with LabelStore.open(path, mode) as labels:
        changes = labels.journal.changes
        assert len(changes.of_run(EXPECTED["run"], "everything")) == EXPECTED["kinds"].count("everything")
        assert changes.last_of_run("prompts-of-version-0.1", "commits").kind == "commits"
        assert changes.of_run("another", "everything") == []


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_the_review_continues(path, mode):
    with LabelStore.open(path, mode) as labels:
        queue = ReviewQueue(labels)
        first, counts = queue.following(), queue.counts()
        assert first.label not in labels.reviewed()
        assert counts.reviewed == len(labels.reviewed()) + counts.rejected


def test_the_script_of_both_formats_is_the_same(path):
    with LabelStore.open(path, "r") as labels:
        before = to_script(labels)
    with LabelStore.open(path) as labels:
        assert to_script(labels) == before


def test_a_migrated_store_is_written_to_and_opened_again(path):
    with LabelStore.open(path) as labels:
        label = labels.next_label
        labels.paint(np.full((3, 3), label), (0, 0))
        before = state(labels)
    with LabelStore.open(path) as labels:
        assert state(labels) == before
        assert len(labels) == len(EXPECTED["rows"]) + 1


def test_a_reader_sees_a_store_while_a_writer_migrates_it(path):
    with LabelStore.open(path, "r") as reader, LabelStore.open(path) as writer:
        writer.erase(1)
        assert len(reader) == len(writer) == len(EXPECTED["rows"]) - 1
        assert len(reader.journal.changes.of_run(EXPECTED["run"], "everything")) == 2
