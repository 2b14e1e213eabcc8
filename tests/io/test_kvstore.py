"""Folders whose names tensorstore would split."""

from __future__ import annotations

import os

import numpy as np
import pytest
import zarr

from napari_sam import open_image
from napari_sam.io.images.transcode import transcode
from napari_sam.io.labels.label_store import LabelStore

pytestmark = pytest.mark.skipif(os.sep != "/", reason="a backslash is a separator")


def test_stores_in_folders_with_a_backslash_are_made_there_and_nowhere_else(tmp_path):
    folder = tmp_path / "a\\b"
    folder.mkdir()
    labels = np.zeros((50, 60), np.uint32)
    labels[10:20, 10:30] = 3
    with LabelStore.create(folder / "c\\d.ome.zarr", shape=labels.shape) as made:
        made.paint(labels, (0, 0))
    with LabelStore.open(folder / "c\\d.ome.zarr", "r") as store:
        assert (store.read((0, 0, 50, 60)) == labels).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a\\b"]
    assert [entry.name for entry in folder.iterdir()] == ["c\\d.ome.zarr"]


def test_images_in_folders_with_a_backslash_are_read_and_transcoded(tmp_path, rng):
    array = rng.integers(1, 255, (50, 60)).astype(np.uint8)
    path = tmp_path / "a\\b.zarr"
    zarr.create_array(path, shape=array.shape, chunks=(32, 32), dtype="uint8")[...] = array
    assert (open_image(path).read(0, 0, 0, 50, 60)[..., 0] == array).all()
    copy = transcode(path, tmp_path / "c\\d.ome.zarr")
    assert (copy.read(0, 0, 0, 50, 60)[..., 0] == array).all()
