"""Repair of stores whose journal is damaged: what is sound is kept, the rest is named."""

from __future__ import annotations

import shutil
import sqlite3
import warnings

import numpy as np
import pytest

from napari_sam.errors import StoreError, StoreWarning
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square


@pytest.fixture
def store(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(300, 200), scale=(0.5, 0.25)) as labels:
        for i in range(5):
            labels.commit(predicted(square(20), (i * 30, i * 10)), category=f"kind {i + 1}")
        labels.paint(np.full((4, 4), 3), (200, 100))
        labels.erase(2)
    return tmp_path / "s"


def pixels_of(store):
    with LabelStore.open(store, "r") as labels:
        return labels.array[...]


def execute(store, *statements):
    connection = sqlite3.connect(store / "journal.sqlite")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def check(labels, pixels):
    """Check that the store shows `pixels`, and that its table agrees with them."""
    np.testing.assert_array_equal(labels.array[...], pixels)
    ids, counts = np.unique(pixels[pixels > 0], return_counts=True)
    table = labels.table()
    assert table.label.tolist() == ids.tolist()
    assert table.area_px.tolist() == counts.tolist()
    assert len(labels) == len(ids)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE patches SET after = x'00' WHERE op = 3",
        "UPDATE patches SET y0 = 'x' WHERE op = 1",
        "UPDATE ops SET record = '[]' WHERE id = 4",
        "UPDATE rows SET after = '{' WHERE op = 6",
        "UPDATE objects SET area_px = 'x' WHERE label = 3",
        "UPDATE objects SET area_px = -1, y0 = 5000",
        "UPDATE log SET op = 'x'",
        "UPDATE meta SET value = '{' WHERE key IN ('scale', 'objects', 'next_label', 'axes')",
        "DELETE FROM meta WHERE key = 'rendered'",
        "DELETE FROM meta WHERE key = 'shape'",
    ],
)
def test_damaged_rows_are_left_out_and_no_pixel_is_lost(store, statement):
    pixels = pixels_of(store)
    execute(store, statement)
    with pytest.warns(StoreWarning, match=r"journal was damaged.*lost:.*journal\.damaged\.sqlite"):
        labels = LabelStore.repair(store)
    with labels:
        check(labels, pixels)
        assert labels.table().category.tolist()[-1] == "kind 5"
        labels.commit(predicted(square(5), (280, 100)))
        while labels.undo():
            assert set(np.unique(labels.array[...]).tolist()) - {0} == set(labels.table().label)
    assert (store / "journal.damaged.sqlite").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LabelStore.open(store).close()
        LabelStore.repair(store).close()


def test_sound_changes_are_still_undone(store):
    execute(store, "UPDATE patches SET after = x'00' WHERE op = 3")
    with pytest.warns(StoreWarning, match="undo of changes 3, 6"):
        labels = LabelStore.repair(store)
    with labels:
        assert labels.undo()["kind"] == "recovered"
        assert labels.undo()["kind"] == "erase"
        assert (labels.array[30:50, 10:30] == 2).all()


@pytest.mark.parametrize("what", ["noise", "no header", "truncated", "empty"])
def test_a_file_that_is_no_database_any_more_leaves_the_objects(store, what):
    pixels = pixels_of(store)
    file = store / "journal.sqlite"
    data = file.read_bytes()
    noise = np.random.default_rng(0).bytes(len(data))
    file.write_bytes(
        {"noise": noise, "no header": noise[:100] + data[100:], "truncated": data[:5000], "empty": b""}[what]
    )
    with pytest.raises(StoreError):
        LabelStore.open(store)
    with pytest.warns(StoreWarning, match="lost"):
        labels = LabelStore.repair(store)
    with labels:
        check(labels, pixels)


def test_damaged_pages_are_left_out(store):
    pixels = pixels_of(store)
    original = (store / "journal.sqlite").read_bytes()
    repaired = 0
    for page in range(1, len(original) // 4096):
        copy = store.with_name(f"copy{page}")
        shutil.copytree(store, copy)
        data = bytearray(original)
        data[page * 4096 : page * 4096 + 300] = np.random.default_rng(page).bytes(300)
        (copy / "journal.sqlite").write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with LabelStore.repair(copy) as labels:
                check(labels, pixels)
                repaired += 1
    assert repaired > 5


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM objects; END",
        "UPDATE meta SET value = '7' WHERE key = 'format'",
    ],
)
def test_what_is_not_damage_is_not_repaired(store, statement):
    execute(store, statement)
    before = (store / "journal.sqlite").read_bytes()
    with pytest.raises(StoreError, match=r"is not a journal|upgrade"):
        LabelStore.repair(store)
    assert (store / "journal.sqlite").read_bytes() == before
    assert not list(store.glob("journal.salvaged*"))


def test_the_command_repairs_and_says_what_was_lost(store, capsys):
    import json

    from napari_sam.cli import main

    execute(store, "UPDATE patches SET after = x'00' WHERE op = 3")
    assert main(["repair", str(store), "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["objects"] == 4
    assert "changes 3, 6" in result["mended"][0]
    assert "changes 3, 6" in captured.err


def test_every_command_says_in_one_line_what_was_mended(tmp_path, capsys):
    from napari_sam.cli import main

    with LabelStore.create(tmp_path / "s", shape=(300, 200)) as labels:
        for i in range(5):
            labels.commit(predicted(square(20), (i * 30, i * 10)))
        shutil.copytree(tmp_path / "s", tmp_path / "copy")
    (tmp_path / "copy" / "journal.sqlite-wal").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["export", str(tmp_path / "copy"), str(tmp_path / "out.csv")]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "lost" in line]
    assert line.startswith("napari-sam: ")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE classes SET colour = 'red' WHERE name = 'kind 3'",
        "UPDATE classes SET position = 'x' WHERE name = 'kind 3'",
        "UPDATE classes SET key = 77 WHERE name = 'kind 3'",
        "UPDATE class_rows SET after = '{' WHERE name = 'kind 3'",
        "UPDATE class_rows SET name = 'other' WHERE name = 'kind 3'",
    ],
)
def test_of_damaged_classes_the_others_and_all_objects_are_kept(store, statement):
    with LabelStore.open(store) as labels:
        labels.classes.update("kind 1", colour="#123456", key=4)
    pixels = pixels_of(store)
    execute(store, statement)
    with pytest.warns(StoreWarning, match="journal was damaged"):
        labels = LabelStore.repair(store)
    with labels:
        check(labels, pixels)
        assert labels.classes["kind 1"].colour == "#123456"
        assert labels.classes.counts()["kind 3"] == 1
        assert "kind 3" in labels.classes
        labels.journal.check_all()
