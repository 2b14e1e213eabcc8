"""Confidence intervals: by hand, reproducible, and undefined where they should be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.bootstrap import (
    Interval,
    bootstrap_mean,
    bootstrap_statistic,
    bootstrap_strata,
    paired_difference,
)


def test_the_value_is_the_mean_and_lies_in_the_interval(rng):
    values, images = rng.random(300), rng.integers(0, 40, 300)
    interval = bootstrap_mean(values, images)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low < interval.value < interval.high
    assert (interval.n, interval.images) == (300, 40)


def test_independent_images_give_the_normal_interval(rng):
    values = rng.normal(0.6, 0.1, 400)
    interval = bootstrap_mean(values, range(400))
    half = 1.96 * values.std(ddof=1) / 20
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.1)


def test_objects_of_one_image_are_not_independent(rng):
    per_image = np.repeat(rng.random(10), 50)
    clustered = bootstrap_mean(per_image, np.repeat(np.arange(10), 50))
    naive = bootstrap_mean(per_image, range(500))
    assert clustered.high - clustered.low > 3 * (naive.high - naive.low)


def test_the_same_seed_gives_the_same_digits():
    values, images = np.linspace(0, 1, 30), np.arange(30) // 3
    assert bootstrap_mean(values, images, seed=3) == bootstrap_mean(values, images, seed=3)
    assert bootstrap_mean(values, images, seed=3) != bootstrap_mean(values, images, seed=4)


def test_the_order_of_objects_does_not_matter(rng):
    values, images = rng.random(60), rng.integers(0, 9, 60)
    order = rng.permutation(60)
    a, b = bootstrap_mean(values, images), bootstrap_mean(values[order], images[order])
    assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=1e-12)


def test_data_sets_count_equally_regardless_of_their_size():
    interval = bootstrap_strata([([1.0] * 90, range(90)), ([0.0] * 10, range(10))])
    assert interval.value == 0.5
    assert (interval.low, interval.high) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("strata", "note"),
    [
        ([([0.5, 0.7], ["a", "a"])], "one image: the interval is not defined"),
        ([([0.5], ["a"]), ([0.7], ["a"])], "one image each: the interval is not defined"),
        ([([], [])], "nothing to measure: not defined"),
    ],
)
def test_the_note_names_what_is_undefined(strata, note):
    interval = bootstrap_strata(strata)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.note == note


def test_a_data_set_of_one_image_is_counted_as_fixed():
    interval = bootstrap_strata([([0.1, 0.9], ["a", "b"]), ([0.5], ["c"])])
    assert "1 data set(s) of one image" in interval.note
    assert (interval.low, interval.high) == (pytest.approx(0.3), pytest.approx(0.7))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(EvaluationError, match="value 1 is"):
        bootstrap_mean([0.5, bad], ["a", "b"])
    with pytest.raises(EvaluationError, match="give the image of each value"):
        bootstrap_mean([0.5], ["a", "b"])


def test_a_statistic_of_sums_is_resampled_by_image():
    table = np.array([[8, 10], [2, 10], [5, 10]])
    interval = bootstrap_statistic(lambda sums: sums[:, 0] / sums[:, 1], table)
    assert interval.value == 0.5
    assert 0.2 <= interval.low < 0.5 < interval.high <= 0.8


def test_paired_differences_agree_with_scipy(rng):
    first = rng.random(50)
    second = first - rng.normal(0.05, 0.05, 50)
    difference = paired_difference(first, second, range(50))
    assert difference.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert difference.interval.low > 0
    assert difference.better == 1.0


def test_equal_scores_have_no_difference():
    difference = paired_difference([0.3, 0.4], [0.3, 0.4], ["a", "b"])
    assert (difference.interval.value, difference.p_value, difference.better) == (0, 1, 0.5)
    with pytest.raises(EvaluationError, match="2 scores against 1"):
        paired_difference([0.1, 0.2], [0.1], ["a", "b"])


def test_overlap_is_defined_only_for_intervals():
    a, b, c = Interval(0.5, 0.4, 0.6, 9, 3), Interval(0.7, 0.6, 0.8, 9, 3), Interval(0.9, 0.81, 0.95, 9, 3)
    assert a.overlaps(b)
    assert not a.overlaps(c)
    assert a.overlaps(Interval(0.5, math.nan, math.nan, 1, 1)) is None
