"""Jobs in one process."""

from __future__ import annotations

import numpy as np

from napari_sam.evaluation.experiments.composition import CompositionExperiment
from napari_sam.evaluation.runs.measurement_plan import MeasurementJob
from napari_sam.evaluation.runs.measurement_worker import PredictorCache, measure_job
from tests.evaluation.evaluation_stubs import toy


class SpecStub:
    """A model that counts how often it is loaded."""

    def __init__(self):
        self.loaded = 0

    def load(self):
        self.loaded += 1
        return object()


def test_a_predictor_is_loaded_once():
    spec, predictors = SpecStub(), PredictorCache()
    assert predictors.get(spec) is predictors.get(spec)
    assert spec.loaded == 1


def test_another_model_replaces_the_predictor():
    first, second, predictors = SpecStub(), SpecStub(), PredictorCache()
    for spec in (first, second, first):
        predictors.get(spec)
    assert (first.loaded, second.loaded) == (2, 1)


def test_no_model_needs_no_predictor():
    assert PredictorCache().get(None) is None


def test_a_job_measures_all_its_experiments():
    labels = np.zeros((20, 20), np.int32)
    labels[:5, :5] = 1
    job = MeasurementJob(None, toy(labels), (("k", CompositionExperiment()), ("l", CompositionExperiment())), 0)
    measured = measure_job(job, PredictorCache())
    assert [(m.key, m.experiment) for m in measured] == [("k", "data"), ("l", "data")]
    assert measured[0].payload["labels"] == [1]
    assert measured[0].seconds >= 0
