"""Summarise a rating study: the mean rating of each source, and the differences between sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.bootstrap import bootstrap_mean, paired_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam.evaluation.rating.rating_study import RatingStudy

_CONFIDENCE = 0.99
_RESAMPLES = 10_000


class SourceSummary(TypedDict):
    """Mean rating of a source, with its interval; None if undefined."""

    mean: float
    low: float | None
    high: float | None
    n: int


class RatingDifference(TypedDict):
    """PairedDifference of two sources on the same objects, first minus second; None if undefined."""

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    n: int


class RatingSummary(TypedDict):
    """The results of a study, as JSON stores them."""

    raters: list[str]
    ratings: int
    sources: dict[str, SourceSummary]
    differences: list[RatingDifference]


@dataclass(frozen=True)
class _ObjectRating:
    """Mean rating of an object's mask, and the object's image."""

    mean: float
    image: str


def summarise_ratings(study: RatingStudy) -> RatingSummary:
    """Return the mean rating of every source and all differences of two, by paired bootstrap and paired t test.

    The rating of a mask is the mean over its raters. Intervals come from resampling images: 95 % for means, 99 % from
    10 000 resamples for differences.

    Raises
    ------
    EvaluationError
        If there is no rating, or a file has an invalid one.
    """
    given: dict[int, list[int]] = {}
    for rater in study.raters():
        for number, rating in study.ratings(rater).items():
            given.setdefault(number, []).append(rating)
    if not given:
        raise EvaluationError(f"{study.folder}: has no ratings yet", remedy="run 'napari-sam evaluate human rate'")
    by_source: dict[str, dict[str, _ObjectRating]] = {}
    for item in study.items:
        if item.number in given:
            mean = float(np.mean(given[item.number]))
            by_source.setdefault(item.source, {})[item.object_id] = _ObjectRating(mean, item.image)
    names = sorted(by_source)
    return {
        "raters": study.raters(),
        "ratings": sum(map(len, given.values())),
        "sources": {name: _summarise_source(list(by_source[name].values())) for name in names},
        "differences": [
            _compare(first, second, by_source)
            for first, second in combinations(names, 2)
            if by_source[first].keys() & by_source[second].keys()
        ],
    }


def _summarise_source(ratings: Sequence[_ObjectRating]) -> SourceSummary:
    interval = bootstrap_mean([r.mean for r in ratings], [r.image for r in ratings])
    return {
        "mean": interval.value,
        "low": _none_if_nan(interval.low),
        "high": _none_if_nan(interval.high),
        "n": interval.n,
    }


def _compare(first: str, second: str, by_source: Mapping[str, Mapping[str, _ObjectRating]]) -> RatingDifference:
    """Compare the ratings of two sources on the objects that both have."""
    a, b = by_source[first], by_source[second]
    common = [object_id for object_id in a if object_id in b]
    difference = paired_difference(
        [a[k].mean for k in common],
        [b[k].mean for k in common],
        [a[k].image for k in common],
        confidence=_CONFIDENCE,
        resamples=_RESAMPLES,
    )
    return {
        "first": first,
        "second": second,
        "difference": difference.interval.value,
        "low": _none_if_nan(difference.interval.low),
        "high": _none_if_nan(difference.interval.high),
        "p": _none_if_nan(difference.p_value),
        "n": len(common),
    }


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
