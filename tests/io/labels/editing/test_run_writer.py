"""Whole-image runs written tile by tile: ids reserved, resumed, undone in one step."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import CancelledError, LabelsError
from napari_sam.io.labels.editing.edit import LARGEST_LABEL
from napari_sam.io.labels.editing.run_writer import RunBegin


def write(run, begin, label, y, tile):
    """Write one square as a tile of its own."""
    details = {label: {"predicted_iou": 0.7, "category": "cell"}}
    return run.write(np.full((5, 5), label), (y, 0), tile=tile, begin=begin, details=details)


@pytest.fixture
def run(labels):
    return labels.run_writer("a")


def test_a_run_that_has_not_begun_has_written_nothing(run):
    assert run.begun() is None
    assert run.written_tiles() == set()


def test_ids_are_reserved_and_tiles_are_found_again(labels, run):
    begin = run.begin({"method": "grid"}, 2)
    assert begin == RunBegin(op=1, first_label=1, count=2)
    assert labels.next_label == 3
    assert write(run, begin, 2, 0, "t0") == 25
    again = labels.run_writer("a")
    assert (again.begun(), again.written_tiles()) == (begin, {"t0"})
    assert labels.object(2)["category"] == "cell"


def test_undo_and_redo_take_a_run_in_one_step_and_leave_others(labels, run):
    labels.paint(np.full((3, 3), 1), (100, 100))
    begin = run.begin({}, 2)
    for label in (2, 3):
        write(run, begin, label, 10 * label, f"t{label}")
    other = labels.run_writer("b")
    write(other, other.begin({}, 1), 4, 60, "t")
    labels.undo()
    assert labels.table().label.tolist() == [1, 2, 3]
    labels.undo()
    assert labels.table().label.tolist() == [1]
    labels.redo()
    assert labels.table().label.tolist() == [1, 2, 3]


@pytest.mark.parametrize(("overlap", "area"), [("keep", 20), ("replace", 25)])
def test_objects_that_exist_keep_or_lose_their_pixels(labels, overlap, area):
    labels.paint(np.full((1, 5), 1), (0, 0))
    run = labels.run_writer("a", overlap=overlap)
    write(run, run.begin({}, 1), 2, 0, "t")
    assert labels.object(2)["area_px"] == area


def test_a_tile_without_a_free_pixel_is_done_all_the_same(labels, run):
    labels.paint(np.full((5, 5), 1), (0, 0))
    assert write(run, run.begin({}, 1), 2, 0, "t") == 0
    assert run.written_tiles() == {"t"}


def test_objects_erased_since_are_reported(labels, run):
    begin = run.begin({}, 2)
    for label in (1, 2):
        write(run, begin, label, 10 * label, f"t{label}")
    labels.erase(1)
    assert run.vanished_objects() == {1}


def test_a_run_that_was_undone_cannot_be_written_on(labels, run):
    begin = run.begin({}, 2)
    labels.undo()
    with pytest.raises(CancelledError, match="resume=True"):
        write(run, begin, 1, 0, "t")


def test_ids_that_are_not_free_in_one_piece_are_refused(labels, run):
    with pytest.raises(LabelsError, match="new store"):
        run.begin({}, LARGEST_LABEL + 1)
    labels.paint(np.full((1, 1), 5), (0, 0))
    labels.undo()
    assert run.begin({}, 9).first_label == 1
