"""Run the experiments of a job, in this process or in a worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from napari_sam.evaluation.experiments.experiment import Payload
    from napari_sam.evaluation.runs.measurement_plan import MeasurementJob
    from napari_sam.evaluation.runs.model_spec import ModelSpec
    from napari_sam.predictor import Predictor


class Measurement(NamedTuple):
    """The result of one experiment on one image.

    Attributes
    ----------
    key : str
        Key of the result in the `ResultStore`.
    experiment : str
        Name of the experiment.
    seconds : float
        Time that it took.
    payload : dict
        The result.
    """

    key: str
    experiment: str
    seconds: float
    payload: Payload


class PredictorCache:
    """The predictor of the model used last; it is released before another one is loaded."""

    def __init__(self) -> None:
        self._model: ModelSpec | None = None
        self._predictor: Predictor | None = None

    def get(self, model: ModelSpec | None) -> Predictor | None:
        """Return the predictor of a model; None for None."""
        if model is None:
            return None
        if model != self._model or self._predictor is None:
            self._model = self._predictor = None
            self._predictor = model.load()
            self._model = model
        return self._predictor


def measure_job(job: MeasurementJob, predictors: PredictorCache) -> list[Measurement]:
    """Run the experiments of a job in this process."""
    predictor = predictors.get(job.model)
    measurements = []
    for key, experiment in job.experiments:
        start = time.perf_counter()
        payload = experiment.measure(job.sample, predictor, job.seed)
        measurements.append(Measurement(key, experiment.name, time.perf_counter() - start, payload))
    return measurements


_worker_predictors = PredictorCache()  # keeps the network of a worker process from one job to the next


def measure_in_worker(job: MeasurementJob) -> list[Measurement]:
    """Run the experiments of a job in a worker process, which keeps its network for the next job."""
    return measure_job(job, _worker_predictors)
