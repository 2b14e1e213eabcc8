"""Images of two mixed kinds: their truth, the kinds of candidates, and the average precision of a ranking."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import tifffile
from sklearn.metrics import average_precision_score

from benchmarks import mixed_kinds
from benchmarks.mixed_kinds import MixedImage, average_precision, buildings_and_fields, kind_of_candidates


@pytest.fixture
def two_kinds() -> MixedImage:
    labels = np.zeros((20, 20), np.int32)
    labels[2:8, 2:8], labels[10:18, 10:18] = 1, 2
    return MixedImage("two", np.zeros((20, 20, 3), np.uint8), labels, {1: "nuclei", 2: "debris"})


def test_average_precision_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    scores, accepted = rng.random(50).round(1), rng.random(50) < 0.4
    ours = np.mean([average_precision(scores, accepted)])
    # scikit-learn sums over thresholds; with a tie the precision is that at the end of the tie, as here
    assert ours == pytest.approx(average_precision_score(accepted, scores))


def test_objects_without_a_candidate_lower_the_average_precision():
    scores, accepted = np.array([0.9, 0.8]), np.array([True, True])
    assert average_precision(scores, accepted, missed=2) == 0.5


def test_without_objects_of_the_kind_there_is_no_average_precision():
    assert np.isnan(average_precision(np.array([0.3]), np.array([False])))


def test_a_candidate_has_the_kind_of_the_object_it_covers(two_kinds):
    masks = [((2, 2), np.ones((6, 6), bool)), ((10, 10), np.ones((8, 7), bool)), ((0, 0), np.ones((3, 3), bool))]
    assert kind_of_candidates(two_kinds, masks) == ["nuclei", "debris", None]


def test_a_candidate_over_both_kinds_has_none(two_kinds):
    assert kind_of_candidates(two_kinds, [((0, 0), np.ones((20, 20), bool))]) == [None]


def test_labels_of_a_kind_leave_the_other_out(two_kinds):
    assert np.unique(two_kinds.labels_of("debris")).tolist() == [0, 2]


def test_buildings_are_set_between_fields(shared):
    (mixed,) = buildings_and_fields(shared / "data", images=1)
    assert set(mixed.kinds.values()) == {"buildings", "fields"}
    assert set(np.unique(mixed.labels)) == {0, *mixed.kinds}


def test_the_same_images_are_made_again(shared):
    first, second = (next(mixed_kinds.nuclei_and_debris(shared / "data", images=1)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    assert list(first.kinds.values()).count("debris") >= 5


def test_the_script_writes_images_labels_and_kinds(two_kinds, tmp_path, monkeypatch):
    monkeypatch.setattr(mixed_kinds, "SETS", {"two kinds": lambda data, split, images: iter([two_kinds])})
    monkeypatch.setattr(sys, "argv", ["mixed_kinds", str(tmp_path)])
    mixed_kinds.main()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "two.labels.tif"), two_kinds.labels)
    assert json.loads((tmp_path / "two.kinds.json").read_text()) == {"1": "nuclei", "2": "debris"}
    assert (tmp_path / "all.png").exists()
