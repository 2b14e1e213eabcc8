"""A store that is replaced is lost only once there is another."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from napari_sam.errors import CancelledError, NothingSegmentedError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.batch.batch import OVERWRITE
from napari_sam.jobs.batch.existing_store import existing_store
from napari_sam.jobs.batch.replaced_store import move_aside, put_back, restore_all, restore_replaced


def draw(path, objects):
    with LabelStore.create(path, shape=(20, 30)) as store:
        for i in range(objects):
            store.paint(np.full((3, 4), i + 1), (1, 5 * i))


def count(path):
    with LabelStore.open(path, "r") as store:
        return len(store)


@pytest.mark.parametrize(
    ("error", "objects", "kept"),
    [
        (NothingSegmentedError, 0, 2),
        (NothingSegmentedError, 1, 1),
        (CancelledError, 0, 2),
        (KeyError, 0, 2),
        (KeyError, 1, 1),
        (CancelledError, None, 2),
    ],
)
def test_a_store_comes_back_if_nothing_could_be_segmented(tmp_path, error, objects, kept):
    path = tmp_path / "a.ome.zarr"
    draw(path, 2)

    def replace():
        with existing_store(path, OVERWRITE, is_unfinished=False):
            if objects is not None:
                draw(path, objects)
            raise error("stopped")

    with pytest.raises(error):
        replace()
    assert count(path) == kept
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def leave_aside(path):
    """Move a store aside as a process would that is killed then."""
    own = move_aside(path)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    return own.rename(own.with_name(own.name.replace(f".{os.getpid()}.", f".{ended.pid}.")))


def test_a_store_that_a_killed_process_moved_aside_comes_back_unless_there_is_another(tmp_path):
    path = tmp_path / "a.ome.zarr"
    draw(path, 2)
    leave_aside(path)
    restore_replaced(path)
    assert count(path) == 2
    aside = leave_aside(path)
    draw(path, 0)  # killed before its first object
    restore_replaced(path)
    assert count(path) == 2
    aside = leave_aside(path)
    draw(path, 1)
    restore_replaced(path)
    assert count(path) == 1
    assert aside.exists()
    move_aside(path)
    assert not aside.exists()


def test_the_stores_of_a_batch_come_back_and_folders_without_any_are_listed_once(tmp_path, monkeypatch):
    paths = [tmp_path / "a" / f"{i}.ome.zarr" for i in range(3)] + [tmp_path / "b" / f"{i}.ome.zarr" for i in range(5)]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    draw(paths[1], 2)
    leave_aside(paths[1])
    listed = []
    monkeypatch.setattr(os, "listdir", lambda folder, listdir=os.listdir: listed.append(folder.name) or listdir(folder))
    restore_all(paths)
    assert count(paths[1]) == 2
    assert listed.count("b") == 1


def test_nothing_is_deleted_if_the_new_store_cannot_be_moved_out_of_the_way(tmp_path, monkeypatch):
    path = tmp_path / "a.ome.zarr"
    draw(path, 2)
    aside = move_aside(path)
    draw(path, 0)

    def refuse(*_):
        raise PermissionError("in use")

    monkeypatch.setattr(type(path), "replace", refuse)
    with pytest.raises(PermissionError):
        put_back(aside, path)
    assert count(aside) == 2


def test_a_store_that_a_running_process_replaces_is_left_to_it(tmp_path):
    path = tmp_path / "a.ome.zarr"
    draw(path, 2)
    move_aside(path)
    restore_replaced(path)
    assert not path.exists()
