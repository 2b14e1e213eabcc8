"""Tracks of objects with gaps, divisions and wrong parents, and their text file."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.tracks.track_table import Track, make_tracks, read_track_file, track_lines


def test_a_gap_makes_a_track_that_continues_the_earlier_one():
    assert make_tracks({4: [0, 1, 3]}).tracks == (Track(4, 0, 1, 0, 4), Track(5, 3, 3, 4, 4))


def test_a_mother_that_keeps_its_id_is_cut_where_its_daughter_begins():
    table = make_tracks({1: range(6), 2: range(3, 6)}, {2: 1})
    assert table.tracks == (Track(1, 0, 2, 0, 1), Track(2, 3, 5, 1, 2), Track(3, 3, 5, 1, 1))
    assert [track.id for track in table.divisions()[1]] == [2, 3]


def test_a_daughter_of_a_gap_belongs_to_the_part_before():
    table = make_tracks({1: [0, 1, 4, 5], 2: [3]}, {2: 1})
    assert {track.id: track.parent for track in table.tracks} == {1: 0, 2: 1, 3: 1}


def test_frames_are_relabelled_with_the_ids_of_the_tracks():
    table = make_tracks({4: [0, 2]})
    assert table.relabel(np.array([[4, 0, 9]]), 0).tolist() == [[4, 0, 0]]
    assert table.relabel(np.array([[4, 0, 9]]), 2).tolist() == [[5, 0, 0]]


def test_renumbered_tracks_keep_their_parents():
    table = make_tracks({70_000: [0], 80_000: [1], 90_000: [1]}, {80_000: 70_000, 90_000: 70_000}).renumbered()
    assert [(track.id, track.parent) for track in table.tracks] == [(1, 0), (2, 1), (3, 1)]


@pytest.mark.parametrize(("parents", "message"), [({2: 9}, "does not exist"), ({1: 2}, "begins in frame 0")])
def test_a_parent_that_cannot_be_is_refused(parents, message):
    with pytest.raises(LabelsError, match=message):
        make_tracks({1: [0], 2: [1]}, parents)


def test_a_file_reads_as_it_was_written(tmp_path):
    table = make_tracks({1: range(3), 2: range(3, 5), 3: range(3, 5)}, {2: 1, 3: 1})
    path = tmp_path / "res_track.txt"
    path.write_text(track_lines(table))
    assert read_track_file(path) == table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 2", "line 1: '1 0 2' is not a track"),
        ("1 0 2 x", "is not a track"),
        ("1 3 2 0", "lasts from frame 3 to 2"),
        ("1 0 2 0\n1 3 4 0", "occurs twice"),
        ("1 0 2 7", "parent 7 does not exist"),
        ("1 0 2 0\n2 2 4 1", "parent 1 ends in frame 2"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, message):
    path = tmp_path / "man_track.txt"
    path.write_text(text)
    with pytest.raises(LabelsError, match=message):
        read_track_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LabelsError, match=r"nothing\.txt"):
        read_track_file(tmp_path / "nothing.txt")
