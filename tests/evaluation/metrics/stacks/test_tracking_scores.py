"""SEG, DET, TRA, LNK and divisions, against py-ctcmetrics and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ctc_metrics.scripts.evaluate import evaluate_sequence

from napari_sam.evaluation.metrics.stacks.tracking_scores import TrackingComparison, match_frame
from napari_sam.io.tracks.track_table import make_tracks
from tests.evaluation.metrics.stacks.movies import dividing_movie, tracks_of, write_challenge


def compare(true, predicted, tolerance=1):
    (frames, table), (others, found) = true, predicted
    comparison = TrackingComparison(table, found, tolerance)
    for frame, other in zip(frames, others, strict=True):
        comparison.add(frame, other)
    return comparison.scores()


@pytest.mark.parametrize("seed", range(12))
def test_scores_equal_those_of_py_ctcmetrics(seed, tmp_path):
    true = tracks_of(*dividing_movie(np.random.default_rng(seed)))
    errors = {"missing": 0.02 * (seed % 3), "jitter": seed % 4, "switch": 0.03 * (seed % 2)}
    predicted = tracks_of(*dividing_movie(np.random.default_rng(seed), **errors))
    write_challenge(tmp_path / "gt", *true, truth=True)
    write_challenge(tmp_path / "res", *predicted, truth=False)
    metrics = ["Valid", "SEG", "DET", "TRA", "LNK", "BC"]
    theirs = evaluate_sequence(str(tmp_path / "res"), str(tmp_path / "gt"), metrics, threads=1)
    assert theirs["Valid"] == 1
    ours = compare(true, predicted)
    for name in ("SEG", "DET", "TRA", "LNK"):
        assert getattr(ours, name.lower()) == pytest.approx(theirs[name], abs=1e-9), name
    assert ours.operations == {name: theirs[f"AOGM_{name}"] for name in ("NS", "FN", "FP", "ED", "EA", "EC")}
    for tolerance in (0, 1, 2):
        scores = compare(true, predicted, tolerance)
        assert scores.divisions_matched == theirs[f"tp_div({tolerance})"]
        assert scores.divisions_predicted - scores.divisions_matched == theirs[f"fp_div({tolerance})"]
        assert scores.divisions_true - scores.divisions_matched == theirs[f"fn_div({tolerance})"]


def test_the_movies_contain_every_kind_of_error():
    """Otherwise the comparison with py-ctcmetrics would show less than it seems to."""
    found = dict.fromkeys(("NS", "FN", "FP", "ED", "EA", "EC"), 0)
    divisions = 0
    for seed in range(12):
        true = tracks_of(*dividing_movie(np.random.default_rng(seed)))
        errors = {"missing": 0.02 * (seed % 3), "jitter": seed % 4, "switch": 0.03 * (seed % 2)}
        scores = compare(true, tracks_of(*dividing_movie(np.random.default_rng(seed), **errors)))
        found = {name: found[name] + count for name, count in scores.operations.items()}
        divisions += scores.divisions_matched
    assert divisions > 0
    assert all(found[name] > 0 for name in ("FN", "FP", "ED", "EA", "EC")), found


def test_one_predicted_object_over_two_true_ones_is_a_vertex_to_split():
    true, predicted = np.array([[1, 1, 2, 2]]), np.array([[5, 5, 5, 5]])
    tracks, found = make_tracks({1: [0], 2: [0]}), make_tracks({5: [0]})
    comparison = TrackingComparison(tracks, found)
    comparison.add(true, predicted)
    scores = comparison.scores()
    assert scores.operations["NS"] == 1
    assert scores.det == pytest.approx(1 - 5 / 20)
    assert scores.seg == pytest.approx(0.5)


def test_tra_by_hand():
    """Two objects in two frames; one is missed in the second frame: FN 10, EA 1.5 of 40 + 3."""
    first, second = np.array([[1, 0, 2]]), np.array([[1, 0, 2]])
    tracks, found = make_tracks({1: [0, 1], 2: [0, 1]}), make_tracks({1: [0, 1], 2: [0]})
    comparison = TrackingComparison(tracks, found)
    comparison.add(first, first)
    comparison.add(second, np.array([[1, 0, 0]]))
    scores = comparison.scores()
    assert scores.tra == pytest.approx(1 - 11.5 / 43)
    assert scores.lnk == pytest.approx(1 - 1.5 / 3)
    assert math.isnan(scores.division_f1)


def test_a_division_is_found_one_frame_late_within_the_tolerance_only():
    shape = (1, 6)

    def movie(split):
        frames = np.zeros((4, *shape), int)
        for t in range(4):
            frames[t] = [[1, 1, 1, 1, 1, 1]] if t < split else [[2, 2, 2, 3, 3, 3]]
        present = {1: range(split), 2: range(split, 4), 3: range(split, 4)}
        return frames, make_tracks(present, {2: 1, 3: 1})

    assert compare(movie(2), movie(3), tolerance=1).division_f1 == 1
    assert compare(movie(2), movie(3), tolerance=0).division_f1 == 0
    assert compare(movie(2), movie(2), tolerance=0).division_f1 == 1


def test_half_of_an_object_is_not_a_match():
    match = match_frame(np.array([[1, 1, 2, 2, 2]]), np.array([[7, 0, 8, 8, 0]]))
    assert match.matched_true.tolist() == [2]


def test_an_empty_movie_has_no_scores():
    empty = make_tracks({})
    comparison = TrackingComparison(empty, empty)
    comparison.add(np.zeros((3, 3), int), np.zeros((3, 3), int))
    scores = comparison.scores()
    assert math.isnan(scores.seg)
    assert math.isnan(scores.det)
    assert math.isnan(scores.tra)


def test_nothing_found_is_zero():
    comparison = TrackingComparison(make_tracks({1: [0]}), make_tracks({}))
    comparison.add(np.ones((2, 2), int), np.zeros((2, 2), int))
    scores = comparison.scores()
    assert (scores.seg, scores.det, scores.tra) == (0, 0, 0)
