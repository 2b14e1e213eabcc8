"""Records, estimates and what experiments share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_sam.errors import SettingsError
from napari_sam.evaluation.experiments.box_instances import InstanceExperiment
from napari_sam.evaluation.experiments.edge_detection import EdgeExperiment
from napari_sam.evaluation.experiments.experiment import (
    OVERALL,
    SUMMARY_COLUMNS,
    Estimate,
    Record,
    mean_estimates,
    open_sample,
    require_predictor,
)
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from napari_sam.evaluation.experiments.proposals import ProposalExperiment
from napari_sam.evaluation.metrics.bootstrap import Interval
from tests.evaluation.evaluation_stubs import Oracle, toy


def record(dataset, sample, value, metric="IoU"):
    return Record(dataset, sample, 1, "m", "box", metric, value)


def test_means_are_estimated_by_data_set_and_over_them():
    records = [record("a", "x", 0.2), record("a", "y", 0.4), record("b", "z", 0.9)]
    estimates = {e.dataset: e.value for e in mean_estimates(records, 0)}
    assert estimates == {"a": pytest.approx(0.3), "b": 0.9, OVERALL: pytest.approx(0.6)}


def test_one_data_set_has_no_overall_estimate():
    assert [e.dataset for e in mean_estimates([record("a", "x", 0.2)], 0)] == ["a"]


def test_undefined_values_do_not_count():
    (estimate,) = mean_estimates([record("a", "x", 0.2), record("a", "y", math.nan)], 0)
    assert (estimate.value, estimate.interval.n) == (0.2, 1)


def test_estimates_keep_the_order_of_the_records():
    records = [record("a", "x", 0.2, metric) for metric in ("second", "first")]
    assert [e.metric for e in mean_estimates(records, 0)] == ["second", "first"]


def test_a_row_has_the_columns_of_the_summary():
    row = Estimate("m", "d", "p", "IoU", Interval(0.5, math.nan, math.nan, 1, 1, "one image")).as_row()
    assert tuple(row) == SUMMARY_COLUMNS
    assert (row["value"], row["low"], row["note"]) == (0.5, None, "one image")


def test_an_experiment_with_a_model_needs_a_predictor():
    with pytest.raises(TypeError, match="needs a predictor"):
        require_predictor(None)


def test_a_sample_is_opened_with_its_truth():
    labels = np.ones((8, 9), np.int32)
    predictor, truth = open_sample(Oracle(labels), toy(labels))
    assert truth.shape == predictor.image.shape == (8, 9)


@pytest.mark.parametrize("kind", [PointExperiment, ProposalExperiment, EdgeExperiment, InstanceExperiment])
def test_settings_of_experiments_are_checked(kind):
    with pytest.raises(SettingsError, match="max_images is 0"):
        kind(max_images=0)
