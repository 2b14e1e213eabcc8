"""Run experiments over many images in several processes; an interrupted run resumes from the stored results."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Unpack

from napari_sam.errors import CancelledError, EvaluationError
from napari_sam.evaluation.evaluation_settings import RunSettings
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.runs.measurement_plan import plan_measurements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.evaluation_settings import RunKeywords
    from napari_sam.evaluation.experiments.experiment import Experiment, Payload
    from napari_sam.evaluation.runs.measurement_plan import MeasurementJob
    from napari_sam.evaluation.runs.model_spec import ModelSpec
    from napari_sam.evaluation.runs.result_store import ResultStore
    from napari_sam.predictor import Predictor

_POLL_S = 0.2
_MAX_TRIES = 3


class Measurement(NamedTuple):
    """The result of one experiment on one image."""

    key: str
    experiment: str
    seconds: float
    payload: Payload


@dataclass
class MeasurementResults:
    """The results of a run.

    Attributes
    ----------
    units : dict
        Results by experiment id and model name ("" without a model), in the order of the samples.
    seconds : dict
        Processor time of each of these.
    resumed, measured : int
        Number of measurements that were stored before, and of new ones.
    parameters : dict
        Number of parameters of each model.
    """

    units: dict[tuple[str, str], list[SampleResult]] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    resumed: int = 0
    measured: int = 0
    parameters: dict[str, int] = field(default_factory=dict)


def run_experiments(
    experiments: Sequence[Experiment],
    models: Sequence[ModelSpec],
    samples: Sequence[Sample],
    store: ResultStore,
    settings: RunSettings | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    **keywords: Unpack[RunKeywords],
) -> MeasurementResults:
    """Measure every image that has no stored result yet, and collect all results.

    Parameters
    ----------
    experiments : sequence of Experiment
        Experiments to run.
    models : sequence of ModelSpec
        Models; experiments that need no network run once.
    samples : sequence of Sample
        Images; each experiment takes those of its kind, up to its `max_images` of each data set.
    store : ResultStore
        Where results are stored.
    settings : RunSettings, optional
        Seed and number of processes.
    progress : callable, optional
        Called with the number of measurements done, their total, and the name of the last image.
    cancelled : callable, optional
        Polled during the run; the run stops when it returns True, and finished measurements stay stored.
    **keywords
        Fields of `RunSettings`, by name.

    Returns
    -------
    MeasurementResults
        Stored and new results.

    Raises
    ------
    EvaluationError
        If no image fits an experiment.
    NapariSamError
        The first error of a measurement; finished measurements stay stored.
    CancelledError
        If `cancelled()` returned True.
    """
    chosen = replace(settings or RunSettings(), **keywords)
    described = {model.name: model.describe() for model in models if any(e.needs_model for e in experiments)}
    fingerprints = {name: fingerprint for name, (fingerprint, _) in described.items()}
    plan = plan_measurements(experiments, models, samples, chosen.seed, fingerprints)
    keys = plan.keys
    stored = store.get(keys)
    jobs = [left for job in plan.jobs if (left := job.without(stored)).experiments]
    recorder = _Recorder(store, sum(len(job.experiments) for job in jobs), progress)
    for job, measurements in _measure(jobs, _process_count(chosen.workers, models), cancelled):
        recorder.add(job, measurements)
    results = MeasurementResults(resumed=len(stored), measured=len(keys) - len(stored))
    results.parameters = {name: size for name, (_, size) in described.items()}
    payloads = store.get(keys)
    for planned in plan.measurements:
        sample, pair = planned.sample, (planned.experiment_id, planned.model_name)
        unit = SampleResult(sample.dataset, sample.name, payloads[planned.key], sample.groups, sample.position)
        results.units.setdefault(pair, []).append(unit)
    for pair in results.units:
        results.seconds[pair] = store.seconds(
            p.key for p in plan.measurements if (p.experiment_id, p.model_name) == pair
        )
    return results


class _Recorder:
    """Store measurements and report progress."""

    def __init__(self, store: ResultStore, total: int, progress: Callable[[int, int, str], None] | None) -> None:
        self._store, self._total, self._progress = store, total, progress
        self._done = 0
        if total:
            self._report("")

    def add(self, job: MeasurementJob, measurements: Sequence[Measurement]) -> None:
        """Store what a job measured."""
        model_name = job.model.name if job.model else ""
        for key, experiment, seconds, payload in measurements:
            self._store.put(key, experiment, model_name, job.sample.dataset, job.sample.name, seconds, payload)
            self._done += 1
        self._report(f"{job.sample.dataset}/{job.sample.name}")

    def _report(self, name: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, name)


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


def _process_count(workers: int | None, models: Sequence[ModelSpec]) -> int:
    """Return the number of processes; 0 for the calling one."""
    if workers is not None:
        return workers
    if any(model.device not in ("auto", "cpu") for model in models):
        return 0
    import torch  # noqa: PLC0415 - slow to import

    has_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if has_gpu and any(model.device == "auto" for model in models):
        return 0
    return os.cpu_count() or 1


def _measure(
    jobs: Sequence[MeasurementJob], processes: int, cancelled: Callable[[], bool] | None
) -> Iterator[tuple[MeasurementJob, list[Measurement]]]:
    """Run all jobs, and yield each as it finishes."""
    if not jobs:
        return
    if processes:
        yield from _measure_in_processes(deque(jobs), min(processes, len(jobs)), cancelled)
        return
    predictors = PredictorCache()
    with _single_thread():  # sums depend on how they are split over threads
        for job in jobs:
            _raise_if(cancelled)
            yield job, measure_job(job, predictors)


def _raise_if(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise CancelledError("stopped; what was measured is kept", remedy="run the same command again to resume")


@contextmanager
def _single_thread() -> Iterator[None]:
    """Limit torch to one thread."""
    threads = _set_threads(1)
    try:
        yield
    finally:
        _set_threads(threads)


def _set_threads(threads: int = 1) -> int:
    """Set the number of torch's threads and return the previous one."""
    import torch  # noqa: PLC0415 - slow to import

    previous: int = torch.get_num_threads()
    torch.set_num_threads(threads)
    return previous


_worker_predictors = PredictorCache()


def _measure_in_worker(job: MeasurementJob) -> list[Measurement]:
    return measure_job(job, _worker_predictors)


def _measure_in_processes(
    todo: deque[MeasurementJob], workers: int, cancelled: Callable[[], bool] | None
) -> Iterator[tuple[MeasurementJob, list[Measurement]]]:
    """Run jobs in several processes; a process that dies is replaced."""
    tries: dict[int, int] = {}
    while todo:
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _set_threads)
        running: dict[Future[list[Measurement]], MeasurementJob] = {}
        try:
            while todo or running:
                while todo and len(running) < workers + 1:
                    job = todo.popleft()
                    running[pool.submit(_measure_in_worker, job)] = job
                finished, _ = wait(running, _POLL_S, FIRST_COMPLETED)
                for future in finished:
                    measurements = future.result()
                    yield running.pop(future), measurements
                _raise_if(cancelled)
        except BrokenProcessPool as error:
            for job in running.values():
                tries[id(job)] = tries.get(id(job), 0) + 1
                if tries[id(job)] >= _MAX_TRIES:
                    raise EvaluationError(
                        f"{job.sample.title}: the process that measured it died {_MAX_TRIES} times",
                        remedy="use fewer {workers} to save memory; in a script, put the call under "
                        "if __name__ == '__main__':",
                    ) from error
                todo.append(job)
        finally:
            pool.shutdown(cancel_futures=True)


def result_folder(path: Path) -> Path:
    """Return a folder for results; refuse the path of a file.

    Raises
    ------
    EvaluationError
        If `path` is a file.
    """
    if path.exists() and not path.is_dir():
        raise EvaluationError(f"{path} is a file", remedy="give a folder for the results")
    return path
