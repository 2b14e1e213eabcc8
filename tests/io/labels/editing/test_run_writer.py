"""Whole-image runs written tile by tile: ids reserved, resumed, undone in one step."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import CancelledError, LabelsError
from napari_sam.io.labels.editing.run_writer import RunBegin
from napari_sam.io.labels.journal.rows import LARGEST_LABEL
from napari_sam.io.labels.label_store import LabelStore


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


def written(labels, name, tiles, between=lambda: None, overlap="keep"):
    """Write a run of squares, each with a label of its own; `between` is called after the first."""
    run = labels.run_writer(name, overlap=overlap)
    begin = run.begin({}, len(tiles))
    for index, y in enumerate(tiles):
        write(run, begin, begin.first_label + index, y, f"t{y}")
        if index == 0:
            between()
    return begin


def state(labels):
    """Return everything that undo and redo must restore."""
    levels = [level[...].tobytes() for level in labels.levels]
    return levels, labels.table().drop(columns="created").to_csv()


def test_a_change_made_meanwhile_does_not_split_a_run(labels):
    from tests.io.labels.label_stubs import predicted, square

    written(labels, "a", (0, 20, 40), lambda: labels.commit(predicted(square(7), (3, 3)), overlap="keep"))
    whole = state(labels)
    assert labels.table().label.tolist() == [1, 2, 3, 4]
    assert labels.undo()["kind"] == "everything"
    assert labels.table().label.tolist() == [4]
    assert np.unique(labels.array[...]).tolist() == [0, 4]
    assert labels.next_label == 5
    labels.redo()
    assert state(labels) == whole
    labels.undo()
    labels.undo()
    assert not len(labels)
    assert not labels.array[...].any()
    while labels.can_redo:
        labels.redo()
    assert state(labels) == whole


def test_a_change_of_the_runs_objects_is_undone_and_redone_with_it(labels):
    from tests.io.labels.label_stubs import predicted, square

    def between():
        labels.commit(predicted(square(3), (1, 1)), overlap="replace")  # takes pixels of object 1
        labels.set_category(1, "large")
        labels.commit(predicted(square(3), (100, 100)))

    written(labels, "a", (0, 20), between)
    whole = state(labels)
    labels.undo()
    assert labels.table().label.tolist() == [4]
    labels.redo()
    assert state(labels) == whole


def test_a_run_that_took_pixels_of_a_change_made_meanwhile_gives_them_back(labels, tmp_path):
    from tests.io.labels.label_stubs import predicted, square

    written(labels, "a", (0, 20), lambda: labels.commit(predicted(square(8), (18, 0))), overlap="replace")
    whole = state(labels)
    labels.undo()
    assert labels.object(3)["area_px"] == 64
    np.testing.assert_array_equal(labels.array[18:26, :8], np.full((8, 8), 3))
    labels.undo()
    labels.redo()
    labels.redo()
    assert state(labels) == whole


def test_pixels_drawn_again_leave_out_a_run_that_was_undone(tmp_path):
    from napari_sam.io.labels.label_store import LabelStore
    from tests.io.labels.label_stubs import predicted, square

    with LabelStore.create(tmp_path / "s", shape=(50, 50)) as labels:
        written(labels, "a", (0, 20), lambda: labels.commit(predicted(square(7), (3, 3)), overlap="keep"))
        labels.undo()
        before = state(labels)
        labels.rebuild()
        assert state(labels) == before
    with LabelStore.repair(tmp_path / "s") as labels:
        assert state(labels) == before


@pytest.fixture
def movie_run(tmp_path):
    """A run in which object 1 lies on frames 0 and 1, and 2 and 3, its children, on frame 2."""
    with LabelStore.create(tmp_path / "movie.ome.zarr", shape=(4, 30, 30)) as store:
        run = store.run_writer("track")
        begin = run.begin({}, 3)
        for frame, label, score in [(0, 1, 0.8), (1, 1, 0.6), (2, 2, 0.7), (2, 3, 0.9)]:
            details = {label: {"predicted_iou": score}}
            at = (6 * label, 0)
            tile = f"{frame}/{label}"
            run.write(np.full((4, 4), label), at, tile=tile, begin=begin, details=details, plane=(frame,))
        run.set_parents({2: 1, 3: 1, 8: 1, 1: None}, tile="parents", begin=begin)
        yield store


def test_a_run_writes_one_object_on_many_planes_with_its_lineage(movie_run):
    table = movie_run.table()
    assert table[["label", "n_planes", "area_px", "predicted_iou"]].values.tolist() == [
        [1, 2, 32, 0.6],
        [2, 1, 16, 0.7],
        [3, 1, 16, 0.9],
    ]
    assert table["parent"].fillna(0).tolist() == [0, 1, 1]
    assert movie_run.planes(1)["predicted_iou"].tolist() == [0.8, 0.6]
    assert movie_run.run_writer("track").written_tiles() == {"0/1", "1/1", "2/2", "2/3", "parents"}


def test_one_step_undoes_a_run_over_many_planes(movie_run):
    before = movie_run.table()
    movie_run.undo()
    assert len(movie_run) == 0
    assert not movie_run.array[...].any()
    assert movie_run.journal.objects.all_parts() == []
    movie_run.redo()
    assert movie_run.table().equals(before)


def test_a_run_without_a_plane_names_one_with_every_tile(movie_run):
    run = movie_run.run_writer("other")
    with pytest.raises(LabelsError, match=r"plane \(\) does not fit"):
        write(run, run.begin({}, 1), 4, 0, "t")
