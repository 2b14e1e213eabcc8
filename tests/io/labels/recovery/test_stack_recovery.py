"""Objects on several planes after crashes and damage: no plane is lost, and table and pixels agree."""

from __future__ import annotations

import shutil
import sqlite3

import numpy as np
import pytest

from napari_sam.errors import StoreError, StoreWarning
from napari_sam.io.labels.label_pyramid import LabelPyramid
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import square


def column(planes, y, side=6):
    return {z: (square(side), (y, z, y + side, z + side), 0.5 + z / 10) for z in planes}


@pytest.fixture
def store(tmp_path):
    """A parent on planes 0 and 1, its child on 2 to 4, and an object that was cut to planes 1 and 2."""
    with LabelStore.create(tmp_path / "s", shape=(5, 60, 40)) as labels:
        labels.commit_planes(column([0, 1], 0), category="mother")
        labels.commit_planes(column([2, 3, 4], 20), category="daughter", parent=1)
        labels.commit_planes(column([0, 1, 2], 40), category="other")
        labels.erase(3, (0,))
        yield labels


def consistent(labels):
    """Check that pixels, objects and planes agree; returns planes by object."""
    pixels, planes = labels.array[...], {}
    assert labels.table()["label"].tolist() == [n for n in np.unique(pixels).tolist() if n]
    for row in labels.table().itertuples():
        parts = labels.planes(row.label)
        assert row.area_px == parts["area_px"].sum() == np.count_nonzero(pixels == row.label)
        assert row.n_planes == len(parts)
        for part in parts.itertuples():
            inside = np.argwhere(pixels[part.plane] == row.label)
            assert part.area_px == len(inside)
            assert (part.y0, part.x0, part.y1, part.x1) == (*inside.min(0), *(inside.max(0) + 1))
        planes[row.label] = [plane for (plane,) in parts["plane"]]
    labels.journal.objects.check_planes()
    return planes


PLANES = {1: [0, 1], 2: [2, 3, 4], 3: [1, 2]}


def test_a_process_that_ends_while_planes_are_drawn_leaves_a_whole_object(store, tmp_path, monkeypatch):
    drawn, draw = [], LabelPyramid.draw

    def interrupted(self, plane, box, labels):
        if len(drawn) == 2:
            raise StoreError("the disk is full")
        drawn.append(plane)
        return draw(self, plane, box, labels)

    monkeypatch.setattr(LabelPyramid, "draw", interrupted)
    with pytest.raises(StoreError, match="the change is safe in the journal"):
        store.commit_planes(column([0, 1, 2, 3, 4], 50), label=9)
    monkeypatch.undo()
    copy = shutil.copytree(store.path, tmp_path / "copy")
    assert drawn == [(0,), (1,)]
    with LabelStore.open(copy) as labels:
        assert consistent(labels) == PLANES | {9: [0, 1, 2, 3, 4]}
        labels.undo()
        assert consistent(labels) == PLANES


def test_objects_that_a_torn_log_lost_keep_their_planes(store, tmp_path):
    copy = shutil.copytree(store.path, tmp_path / "copy")
    log = copy / "journal.sqlite-wal"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 3])
    with pytest.warns(StoreWarning, match="journal had lost its changes"):
        labels = LabelStore.open(copy)
    with labels:
        assert consistent(labels) == PLANES
        while labels.undo():
            consistent(labels)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE object_planes SET area_px = -1 WHERE label = 2",
        "UPDATE object_planes SET plane = '9' WHERE label = 1 AND plane = '0'",
        "UPDATE object_planes SET x1 = 'x'",
        "DELETE FROM object_planes WHERE label = 3",
        "UPDATE objects SET n_planes = 7 WHERE label = 2",
        "UPDATE objects SET n_planes = 'x', parent = 'y'",
        "UPDATE plane_rows SET after = '{' WHERE label = 1",
        "UPDATE plane_rows SET after = replace(after, '\"2\"', '\"3\"') WHERE label = 2",
        "UPDATE patches SET plane = '[7]' WHERE op = 2",
    ],
)
def test_damaged_planes_are_measured_again(store, statement):
    scores = store.planes(1)["predicted_iou"].tolist()
    store.close()
    with sqlite3.connect(store.path / "journal.sqlite") as connection:
        assert connection.execute(statement).rowcount
    connection.close()
    with pytest.warns(StoreWarning, match=r"journal was damaged.*lost:"):
        labels = LabelStore.repair(store.path)
    with labels:
        assert consistent(labels) == PLANES
        assert {row.label: row.category for row in labels.table().itertuples()} == {
            1: "mother",
            2: "daughter",
            3: "other",
        }
        if "object_planes" not in statement:
            assert labels.planes(1)["predicted_iou"].tolist() == scores
        while labels.undo():
            consistent(labels)


def test_a_sound_store_is_repaired_to_the_same(store):
    before, pixels = store.table(), store.array[...]
    store.close()
    with LabelStore.repair(store.path) as labels:
        assert labels.table().equals(before)
        np.testing.assert_array_equal(labels.array[...], pixels)
        labels.rebuild()
        assert consistent(labels) == PLANES
