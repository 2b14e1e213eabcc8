"""Which object descends from which: set, followed through edits, and undone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore


@pytest.fixture
def movie(tmp_path):
    """A cell, 1, that divides into 2 and 3."""
    with LabelStore.create(tmp_path / "movie.ome.zarr", shape=(4, 20, 20)) as store:
        store.paint(np.full((3, 3), 1), (8, 8), plane=(0,))
        store.paint(np.full((2, 2), 2), (2, 8), plane=(1,))
        store.paint(np.full((2, 2), 3), (14, 8), plane=(1,))
        store.set_parent(2, 1)
        store.set_parent(3, 1)
        yield store


def parents(store):
    return {row.label: row.parent for row in store.journal.objects.table()}


def test_the_table_names_the_parent(movie):
    assert movie.table()["parent"].isna().tolist() == [True, False, False]
    assert parents(movie) == {1: None, 2: 1, 3: 1}
    assert movie.history().kind.tolist()[-2:] == ["parent", "parent"]


def test_a_parent_is_removed_and_undone(movie):
    movie.set_parent(2, None)
    assert parents(movie)[2] is None
    movie.undo()
    assert parents(movie)[2] == 1


def test_children_of_an_erased_object_have_no_parent_until_it_is_undone(movie):
    movie.erase(1)
    assert parents(movie) == {2: None, 3: None}
    movie.undo()
    assert parents(movie) == {1: None, 2: 1, 3: 1}


def test_children_follow_the_new_id_of_their_parent(movie):
    movie.relabel(1, 9)
    assert parents(movie) == {2: 9, 3: 9, 9: None}


def test_children_follow_their_parent_into_a_merged_object(movie):
    movie.paint(np.full((2, 2), 4), (0, 0), plane=(0,))
    movie.merge([1, 4], into=4)
    assert parents(movie) == {2: 4, 3: 4, 4: None}


def test_an_object_merged_with_its_parent_does_not_descend_from_itself(movie):
    movie.merge([1, 2], into=2)
    assert parents(movie) == {2: None, 3: 2}


def test_a_new_object_gets_its_parent_with_its_pixels(movie):
    label = movie.commit_planes({2: (np.ones((2, 2), bool), (0, 0, 2, 2))}, parent=2)
    assert parents(movie)[label] == 2
    movie.undo()
    assert label not in parents(movie)


@pytest.mark.parametrize(("child", "parent"), [(1, 1), (1, 2)])
def test_an_object_cannot_descend_from_itself(movie, child, parent):
    with pytest.raises(LabelsError, match="would descend from itself"):
        movie.set_parent(child, parent)


@pytest.mark.parametrize(("child", "parent"), [(2, 8), (8, 1)])
def test_objects_that_do_not_exist_are_named(movie, child, parent):
    with pytest.raises(LabelsError, match="there is no object 8"):
        movie.set_parent(child, parent)


def test_a_single_image_has_no_lineages(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(9, 9)) as store:
        store.paint(np.array([[1, 2]]), (0, 0))
        with pytest.raises(LabelsError, match="lies in a single image"):
            store.set_parent(2, 1)
