"""Folders of label stores: made, refused, overwritten, repaired."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square


def test_a_store_of_a_newer_version_is_refused_and_not_changed(tmp_path):
    LabelStore.create(tmp_path / "s", shape=(100, 100)).close()
    with sqlite3.connect(tmp_path / "s" / "journal.sqlite") as db:
        db.execute("UPDATE meta SET value = '7' WHERE key = 'format'")
    db.close()
    with pytest.raises(StoreError, match=r"format 7.*upgrade"):
        LabelStore.open(tmp_path / "s")
    with pytest.raises(StoreError, match="format 7"):  # the lock was given back
        LabelStore.open(tmp_path / "s")


def test_folders_that_are_no_stores_are_refused(tmp_path):
    with pytest.raises(StoreError, match=r"LabelStore\.create"):
        LabelStore.open(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="journal is missing"):
        LabelStore.open(tmp_path / "folder", "r")
    with pytest.raises(StoreError, match="not overwritten"):
        LabelStore.create(tmp_path / "folder", shape=(9, 9), overwrite=True)
    assert (tmp_path / "folder" / "thesis.txt").exists()
    with pytest.raises(StoreError, match="exists already"):
        LabelStore.create(tmp_path / "folder", shape=(9, 9))


def test_overwrite_replaces_a_store(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(100, 100)) as labels:
        labels.commit(predicted(square()))
    with LabelStore.create(tmp_path / "s", shape=(50, 60), overwrite=True) as labels:
        assert labels.shape == (50, 60)
        assert len(labels) == 0


@pytest.mark.parametrize("shape", [None, (5,), (0, 4), (2**31, 4), (1, 1, 1, 1, 5, 5)])
def test_invalid_shapes_are_refused(tmp_path, shape):
    with pytest.raises(LabelsError, match="shape"):
        LabelStore.create(tmp_path / "s", shape=shape)


def test_an_image_of_another_shape_is_refused(tmp_path):
    from napari_sam.io.images.open_image import open_image

    image = open_image(np.zeros((100, 120), np.uint8))
    LabelStore.create(tmp_path / "s", like=image).close()
    LabelStore.open(tmp_path / "s", like=image).close()
    with pytest.raises(StoreError, match=r"do not fit the image \(100, 121\)"):
        LabelStore.open(tmp_path / "s", like=open_image(np.zeros((100, 121), np.uint8)))


def test_a_relative_path_stays_where_it_was_when_the_working_folder_changes(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    labels = LabelStore.create("x.ome.zarr", shape=(50, 50))
    monkeypatch.chdir(tmp_path / "b")
    labels.paint(np.ones((5, 5), int), (0, 0))
    labels.close()
    assert not (tmp_path / "b" / "x.ome.zarr").exists()
    with LabelStore.open(tmp_path / "a" / "x.ome.zarr", "r") as labels:
        assert labels.array[0, 0] == 1


def test_repair_opens_a_store_without_the_metadata_of_a_level(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3000, 50)) as labels:
        labels.commit(predicted(square(40)))
        labels.commit(predicted(square(40), (2000, 0)))
        labels.undo()
        before = [level[...] for level in labels.levels]
    (tmp_path / "s" / "1" / "zarr.json").unlink()
    with pytest.raises(StoreError, match="repair"):
        LabelStore.open(tmp_path / "s")
    with LabelStore.repair(tmp_path / "s") as labels:
        for level, pixels in zip(labels.levels, before, strict=True):
            np.testing.assert_array_equal(level[...], pixels)
        assert labels.can_redo


def test_an_interrupted_creation_does_not_block_the_name(tmp_path, monkeypatch):
    from napari_sam.io.labels import store_files

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_files.Journal, "create", fail)
        with pytest.raises(KeyboardInterrupt):
            LabelStore.create(tmp_path / "s", shape=(50, 50))
    assert not (tmp_path / "s").exists()
    LabelStore.create(tmp_path / "s", shape=(50, 50)).close()
