"""Rating studies: items in random order, and ratings stored at once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.rating.rating_study import BEST_RATING, RatingItem, RatingStudy
from napari_sam.evaluation.rating.study_preparation import prepare_study
from tests.evaluation.evaluation_stubs import toy
from tests.evaluation.rating.study_stubs import Stub, samples


def test_each_rater_has_a_fixed_order_of_their_own(study):
    order = [i.number for i in study.order("ada")]
    assert order == [i.number for i in study.order("ada")]
    assert sorted(order) == sorted(i.number for i in study.items)
    assert order != [i.number for i in study.order("grace")]
    assert order != sorted(order)


def test_ratings_are_stored_at_once_and_the_last_one_counts(study):
    study.rate("ada", 1, 4, 2.5)
    study.rate("ada", 2, 9)
    study.rate("ada", 1, 6)
    assert RatingStudy.open(study.folder).ratings("ada") == {1: 6, 2: 9}
    study.rate("ada", 1, 0)
    assert RatingStudy.open(study.folder).ratings("ada") == {2: 9}
    assert study.ratings("grace") == {}


@pytest.mark.parametrize("bad", [11, -1, 2.5, True, float("nan")])
def test_invalid_ratings_are_refused(study, bad):
    with pytest.raises(EvaluationError, match="give a whole number from 1"):
        study.rate("ada", 1, bad)


def test_invalid_names_and_items_are_refused(study):
    for name in ("../x", "", ".a", "a/b"):
        with pytest.raises(EvaluationError, match="give a name"):
            study.rate(name, 1, 5)
    with pytest.raises(EvaluationError, match="item 99"):
        study.rate("ada", 99, 5)


@pytest.mark.parametrize("line", ["1,nan,0,0", "1,12,0,0", "1,7.9,0,0", "99,5,0,0", "x,5,0,0", "1"])
def test_damaged_ratings_are_named_by_line(study, line):
    study.rate("ada", 1, 5)
    with study.ratings_file("ada").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(EvaluationError, match="line 3"):
        study.ratings("ada")


def test_an_empty_file_left_by_a_crash_gets_its_header(study):
    study.ratings_file("ada").touch()
    study.rate("ada", 1, 5)
    study.rate("ada", 2, 6)
    assert study.ratings("ada") == {1: 5, 2: 6}
    study.ratings_file("ada").write_bytes(b"item,rating\n1,\xff\n")
    with pytest.raises(EvaluationError, match="cannot be read"):
        study.ratings("ada")


def test_folders_that_are_no_study_are_refused(study, tmp_path):
    with pytest.raises(EvaluationError, match="exists already"):
        prepare_study(study.folder, samples(), [Stub()], 5)
    with pytest.raises(EvaluationError, match="evaluate human prepare"):
        RatingStudy.open(tmp_path)
    (study.folder / "study.json").write_text(json.dumps({"items": [{"number": 1}]}))
    with pytest.raises(EvaluationError, match="damaged"):
        RatingStudy.open(study.folder)
    small = np.zeros((40, 40), np.int32)
    small[:9, :9] = 1
    with pytest.raises(EvaluationError, match="24 x 24 px"):
        prepare_study(tmp_path / "none", [toy(small)], [Stub()])
    assert BEST_RATING == 10


def test_files_of_version_0_1_are_read(study):
    (entry, *_) = json.loads((study.folder / "study.json").read_text())["items"]
    assert set(entry) == {"number", "thing", "image", "source", "picture", "mask", "point"}
    assert RatingItem.from_entry(entry).as_entry() == {**entry, "point": tuple(entry["point"])}
