"""Summaries of ratings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.rating.rating_summary import summarise_ratings
from napari_sam.evaluation.rating.study_preparation import GROUND_TRUTH


def test_sources_are_compared_in_pairs(study, rng):
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


def test_a_study_without_ratings_is_an_error(study):
    with pytest.raises(EvaluationError, match="has no ratings"):
        summarise_ratings(study)


def test_several_raters_are_averaged(study):
    for rater, rating in (("ada", 4), ("grace", 8)):
        study.rate(rater, 1, rating)
    summary = summarise_ratings(study)
    assert summary["raters"] == ["ada", "grace"]
    assert summary["ratings"] == 2
    assert next(iter(summary["sources"].values()))["mean"] == 6


def test_sources_without_common_objects_are_not_compared(study):
    first = study.items[0]
    other = next(item for item in study.items if item.source != first.source and item.object_id != first.object_id)
    study.rate("ada", first.number, 5)
    study.rate("ada", other.number, 6)
    assert summarise_ratings(study)["differences"] == []


def test_undefined_intervals_are_none(study):
    study.rate("ada", 1, 5)
    (source,) = summarise_ratings(study)["sources"].values()
    assert (source["low"], source["high"], source["n"]) == (None, None, 1)
