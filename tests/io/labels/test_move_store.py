"""A label store is moved whole, and never over something else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.move_store import move_store


@pytest.fixture
def old(tmp_path):
    with LabelStore.create(tmp_path / "a.ome.zarr", shape=(30, 40)) as store:
        store.paint(np.full((3, 3), 1), (2, 2))
    return tmp_path / "a.ome.zarr"


def test_a_moved_store_keeps_objects_and_undo(old, tmp_path):
    new = move_store(old, tmp_path / "deep" / "b")
    assert new == tmp_path / "deep" / "b.ome.zarr"
    assert not old.exists()
    with LabelStore.open(new) as store:
        assert (len(store), store.can_undo) == (1, True)


def test_nothing_is_replaced(old, tmp_path):
    (tmp_path / "b.ome.zarr").mkdir()
    with pytest.raises(StoreError, match="exists already"):
        move_store(old, tmp_path / "b")
    assert old.exists()


def test_a_store_that_is_open_elsewhere_stays(old, tmp_path):
    with LabelStore.open(old), pytest.raises(StoreError, match="writes to it"):
        move_store(old, tmp_path / "b")
    assert old.exists()


def test_a_store_that_does_not_exist_yet_gets_its_new_place(tmp_path):
    assert move_store(tmp_path / "none.ome.zarr", tmp_path / "b") == tmp_path / "b.ome.zarr"
