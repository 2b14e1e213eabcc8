"""Deleting, renumbering, merging and classifying many objects: one step of undo each, in images and stacks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore


@pytest.fixture(params=["image", "stack"])
def store(request, tmp_path):
    """Twelve squares, some across the border of shards; in a stack on two planes each."""
    shape = (2300, 2300) if request.param == "image" else (3, 2300, 2300)
    with LabelStore.create(tmp_path / "s", shape=shape) as labels:
        pixels = np.zeros((2300, 2300), np.uint32)
        for label in range(1, 13):
            y, x = 150 * label + 100, 2040 if label % 2 else 50
            pixels[y : y + 20, x : x + 20] = label
        for plane in [()] if request.param == "image" else [(0,), (2,)]:
            labels.paint(pixels, (0, 0), plane=plane)
        yield labels


def rows(labels):
    return labels.journal.objects.table()


def state(labels):
    return labels.array[...], rows(labels)


def assert_one_step(labels, change):
    """Make a change, and check that one undo and one redo take it back and make it again."""
    before, count = state(labels), len(labels.history())
    change()
    after = state(labels)
    assert len(labels.history()) == count + 1
    for step, (pixels, table) in ((labels.undo, before), (labels.redo, after)):
        step()
        np.testing.assert_array_equal(labels.array[...], pixels)
        assert rows(labels) == table


def test_deleting_many(store):
    assert_one_step(store, lambda: store.delete([2, 3, 5, 7, 11]))
    assert store.table()["label"].tolist() == [1, 4, 6, 8, 9, 10, 12]
    assert np.unique(store.array[...]).tolist() == [0, 1, 4, 6, 8, 9, 10, 12]


def test_deleting_all(store):
    assert store.delete(store.select()) == 12
    assert not store.array[...].any()
    assert len(store) == 0


def test_renumbering_many(store):
    store.set_category([3, 4], "cell")
    assert_one_step(store, lambda: store.relabel({3: 103, 4: 99, 5: 5}))
    categories = {row.label: row.category for row in rows(store)}
    assert (categories[99], categories[103], categories[5]) == ("cell", "cell", None)
    assert not {3, 4} & categories.keys()


def test_merging_many(store):
    area = store.table()["area_px"].sum()
    assert_one_step(store, lambda: store.merge([1, 2, 3, 12], into=3))
    assert store.row(3).area_px == area / 3
    assert store.row(3).box == (250, 50, 1920, 2060)


def test_classifying_many(store):
    assert_one_step(store, lambda: store.set_category([1, 2, 3], "cell"))
    assert_one_step(store, lambda: store.set_category({1: None, 4: "debris"}))
    assert store.classes.counts() == {"cell": 2, "debris": 1}
    assert [row.category for row in rows(store)][:5] == [None, "cell", "cell", "debris", None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.delete([]), "no object is given"),
        (lambda s: s.delete([1, 99, 98]), "no object 98, and 1 more"),
        (lambda s: s.delete(["1"]), "not an id"),
        (lambda s: s.relabel({1: 2}), "object 2 exists already"),
        (lambda s: s.relabel({1: 50, 2: 50}), "several objects would get the id 50"),
        (lambda s: s.relabel({1: 0}), "0 is no id"),
        (lambda s: s.relabel({99: 100}), "no object 99"),
        (lambda s: s.set_category([1, 99], "a"), "no object 99"),
        (lambda s: s.set_category([1], ""), "empty"),
        (lambda s: s.set_category({}), "no object is given"),
    ],
)
def test_invalid_changes_are_refused_and_nothing_is_written(store, change, message):
    before = state(store)
    with pytest.raises(LabelsError, match=message):
        change(store)
    np.testing.assert_array_equal(store.array[...], before[0])
    assert state(store)[1] == before[1]
    assert len(store.classes) == 0


def test_a_renumbered_object_stays_known_to_the_history(store):
    store.relabel({3: 103, 4: 99})
    new = {change.label: change.new_label for change in store.journal.changes.changes_of_objects()}
    assert new[3] == 103
    assert new[4] == 99


def test_children_follow_a_renumbered_parent(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(2, 20, 20)) as labels:
        labels.paint(np.array([[1, 0, 2]]), (0, 0), plane=(0,))
        labels.set_parent(2, 1)
        labels.relabel({1: 7})
        assert labels.row(2).parent == 7
