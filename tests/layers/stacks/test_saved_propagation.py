"""A saved object as if it had been followed, and back into the store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam.engine.propagation.propagation import StackPosition
from napari_sam.errors import CancelledError, LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.stacks.saved_propagation import axis_of, saved_propagation, write_planes

SQUARE = np.ones((3, 3), bool)


@pytest.fixture
def store(tmp_path):
    """A store (t, z, y, x) with an object on three depth planes of the first frame and one of the second."""
    with LabelStore.create(tmp_path / "labels.ome.zarr", shape=(2, 5, 20, 20)) as made:
        planes = {(0, z): (SQUARE, (z, z, z + 3, z + 3), 0.5 + z / 10) for z in range(1, 4)}
        made.commit_planes({**planes, (1, 2): (SQUARE, (9, 9, 12, 12), 0.9)})
        yield made


@pytest.fixture
def position():
    return StackPosition("z", 5, (20, 20), (0, 1), 1)


def test_masks_and_scores_along_the_axis_are_read(store, position):
    read = saved_propagation(store, 1, position)
    assert read.planes == (1, 2, 3)
    assert read.scores == pytest.approx({1: 0.6, 2: 0.7, 3: 0.8})
    mask, box = read.mask(2)
    assert mask.all()
    assert tuple(box) == (2, 2, 5, 5)


def test_planes_that_a_run_followed_the_object_through_are_marked(store, position):
    run = store.run_writer("run")
    begin = run.begin({}, 1)
    for z in (0, 1):
        tile = {"tile": str(z), "begin": begin, "details": {}, "plane": (0, z)}
        run.write(np.full((3, 3), begin.first_label), (15, 15), **tile)
    run.write_note({"propagated": {str(begin.first_label): [[0, 1], [1, 0]]}}, tile="note", begin=begin)
    assert saved_propagation(store, begin.first_label, position).events == {1: ("propagated",)}
    assert saved_propagation(store, 1, position).events == {}


def test_the_axis_with_the_most_planes_is_followed(store):
    parts = store.journal.objects.planes_of(1)
    assert axis_of(parts, 0) == 1
    assert axis_of(parts[:1], 0) == 0


def test_planes_that_are_left_are_cleared_and_other_frames_stay(store, position):
    read = saved_propagation(store, 1, position)
    corrected = replace(read, records={plane: read.records[plane] for plane in (1, 2)})
    assert write_planes(store, corrected, label=1) == 1
    assert [tuple(plane) for plane in store.planes(1).plane] == [(0, 1), (0, 2), (1, 2)]
    store.undo()
    assert store.row(1).n_planes == 4


def test_an_object_of_another_frame_is_refused(store):
    with pytest.raises(LabelsError, match="not on plane"):
        saved_propagation(store, 1, StackPosition("t", 2, (20, 20), (0, 4), 0))


def test_reading_can_be_cancelled(store, position):
    with pytest.raises(CancelledError):
        saved_propagation(store, 1, position, lambda: True)
