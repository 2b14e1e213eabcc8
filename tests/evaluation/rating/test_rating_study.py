"""Rating studies: blind, in random order, saved at once, and summed up with paired intervals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.rating.rating_study import BEST_RATING, RatingStudy
from napari_sam.evaluation.rating.rating_summary import summarise_ratings
from napari_sam.evaluation.rating.study_preparation import GROUND_TRUTH, prepare_study
from tests.evaluation.evaluation_stubs import Oracle, toy


class Stub:
    """A model whose predictor is the oracle of the image at hand."""

    name = "half"

    def load(self):
        class Any(Oracle):
            def set_image(self, image):
                self.labels = (image[..., 0] > 0).astype(np.int32)

        return Any(np.zeros((4, 4), np.int32))


def samples(count=6):
    out = []
    for i in range(count):
        labels = np.zeros((90, 90), np.int32)
        labels[10:40, 10 + i : 40 + i] = 1
        out.append(toy(labels, name=f"im{i}"))
    return out


@pytest.fixture
def study(tmp_path):
    return prepare_study(tmp_path / "study", samples(), [Stub()], 5)


def test_a_study_has_every_sources_mask_of_the_same_objects(study):
    assert study.sources == [GROUND_TRUTH, "half"]
    things = {s: sorted(i.object_id for i in study.items if i.source == s) for s in study.sources}
    assert things[GROUND_TRUTH] == things["half"]
    assert len(things["half"]) == 5
    for item in study.items:
        rgb, mask = study.pixels(item)
        assert rgb.shape[:2] == mask.shape
        assert mask[item.point] or item.source == "half"
    reopened = RatingStudy.open(study.folder)
    assert reopened == study


def test_file_names_do_not_tell_whose_mask_it_is(study):
    assert not any(s.replace(" ", "") in i.mask + i.picture for i in study.items for s in study.sources)


def test_each_rater_has_an_order_of_their_own_that_stays(study):
    order = [i.number for i in study.order("ada")]
    assert order == [i.number for i in study.order("ada")]
    assert sorted(order) == sorted(i.number for i in study.items)
    assert order != [i.number for i in study.order("grace")]
    assert order != sorted(order)


def test_ratings_are_on_disk_at_once_and_the_last_word_counts(study):
    study.rate("ada", 1, 4, 2.5)
    study.rate("ada", 2, 9)
    study.rate("ada", 1, 6)
    assert RatingStudy.open(study.folder).ratings("ada") == {1: 6, 2: 9}
    study.rate("ada", 1, 0)
    assert RatingStudy.open(study.folder).ratings("ada") == {2: 9}
    assert study.ratings("grace") == {}


@pytest.mark.parametrize("bad", [11, -1, 2.5, True, float("nan")])
def test_ratings_that_are_none_are_refused(study, bad):
    with pytest.raises(EvaluationError, match="give a whole number from 1"):
        study.rate("ada", 1, bad)


def test_names_and_items_that_cannot_be_are_refused(study):
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


def test_a_file_that_a_crash_left_empty_gets_its_head(study):
    study.ratings_file("ada").touch()
    study.rate("ada", 1, 5)
    study.rate("ada", 2, 6)
    assert study.ratings("ada") == {1: 5, 2: 6}
    study.ratings_file("ada").write_bytes(b"item,rating\n1,\xff\n")
    with pytest.raises(EvaluationError, match="cannot be read"):
        study.ratings("ada")


def test_labels_of_another_shape_make_no_study(tmp_path):
    (sample,) = samples(1)
    wrong = toy(np.pad(sample.truth().labels(), 5))
    mixed = dataclasses.replace(sample, read_truth=wrong.read_truth)
    with pytest.raises(EvaluationError, match="the same shape as the image"):
        prepare_study(tmp_path / "study", [mixed], [Stub()], 1)


def test_the_report_compares_sources_in_pairs(study, rng):
    given = {}
    for item in study.items:
        value = int(rng.integers(7, 11)) if item.source == GROUND_TRUTH else int(rng.integers(3, 7))
        study.rate("ada", item.number, value)
        given[item.object_id, item.source] = value
    report = summarise_ratings(study)
    things = sorted({t for t, _ in given})
    a, b = ([given[t, s] for t in things] for s in (GROUND_TRUTH, "half"))
    (difference,) = report["differences"]
    assert (difference["first"], difference["second"], difference["n"]) == (GROUND_TRUTH, "half", 5)
    assert difference["difference"] == pytest.approx(np.mean(a) - np.mean(b))
    assert difference["p"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert difference["low"] > 0
    assert report["sources"]["half"]["n"] == 5


def test_nobody_has_rated_is_an_error(study):
    with pytest.raises(EvaluationError, match="has no ratings"):
        summarise_ratings(study)


def test_studies_that_are_none_are_refused(study, tmp_path):
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


def test_a_cancelled_study_is_not_made(tmp_path):
    from napari_sam.errors import CancelledError

    with pytest.raises(CancelledError):
        prepare_study(tmp_path / "study", samples(), [Stub()], 5, cancelled=lambda: True)
    assert not (tmp_path / "study").exists()
