"""Run experiments over many images in several processes; an interrupted run resumes from the stored results."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Unpack

from napari_sam.errors import CancelledError, EvaluationError
from napari_sam.evaluation.evaluation_settings import RunSettings
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.runs.measurement_plan import plan_measurements
from napari_sam.evaluation.runs.measurement_worker import PredictorCache, measure_in_worker, measure_job
from napari_sam.jobs.process_pool import ProcessPool, limit_threads, stop_if

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.evaluation_settings import RunKeywords
    from napari_sam.evaluation.experiments.experiment import Experiment
    from napari_sam.evaluation.runs.measurement_plan import MeasurementJob, MeasurementPlan
    from napari_sam.evaluation.runs.measurement_worker import Measurement
    from napari_sam.evaluation.runs.model_spec import ModelSpec
    from napari_sam.evaluation.runs.result_store import ResultStore

_ATTEMPTS = 3


@dataclass
class MeasurementResults:
    """The results of a run.

    Attributes
    ----------
    results : dict
        Results by experiment id and model name ("" without a model), in the order of the samples.
    seconds : dict
        Processor time of each of these.
    resumed, measured : int
        Number of measurements that were stored before, and of new ones.
    parameters : dict
        Number of parameters of each model.
    """

    results: dict[tuple[str, str], list[SampleResult]] = field(default_factory=dict)
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
    stored = store.get(plan.keys)
    jobs = [left for job in plan.jobs if (left := job.without(stored)).experiments]
    recorder = _Recorder(store, sum(len(job.experiments) for job in jobs), progress)
    processes = min(_process_count(chosen.workers, models), len(jobs)) if jobs else 0
    try:
        if processes:
            pool = ProcessPool(processes, attempts=_ATTEMPTS, in_flight=processes + 1)
            pool.run(measure_in_worker, jobs, recorder, cancelled)
        else:
            _measure_here(jobs, recorder, cancelled)
    except CancelledError as error:
        raise CancelledError(
            "stopped; finished measurements are kept", remedy="run the same command again to resume"
        ) from error
    measured = MeasurementResults(resumed=len(stored), measured=len(plan.keys) - len(stored))
    measured.parameters = {name: size for name, (_, size) in described.items()}
    _collect(measured, plan, store)
    return measured


def _collect(measured: MeasurementResults, plan: MeasurementPlan, store: ResultStore) -> None:
    """Read the results and times of all planned measurements from the store."""
    payloads = store.get(plan.keys)
    keys: dict[tuple[str, str], list[str]] = {}
    for planned in plan.measurements:
        sample, cell = planned.sample, (planned.experiment_id, planned.model_name)
        result = SampleResult(sample.dataset, sample.name, payloads[planned.key], sample.groups, sample.position)
        measured.results.setdefault(cell, []).append(result)
        keys.setdefault(cell, []).append(planned.key)
    measured.seconds = {cell: store.seconds(of_cell) for cell, of_cell in keys.items()}


def _measure_here(jobs: Sequence[MeasurementJob], recorder: _Recorder, cancelled: Callable[[], bool] | None) -> None:
    """Run all jobs in this process."""
    if not jobs:
        return
    predictors = PredictorCache()
    with _single_thread():  # sums depend on how they are split over threads
        for job in jobs:
            stop_if(cancelled)
            recorder.on_result(job, measure_job(job, predictors))


class _Recorder:
    """Store measurements and report progress."""

    def __init__(self, store: ResultStore, total: int, progress: Callable[[int, int, str], None] | None) -> None:
        self._store, self._total, self._progress = store, total, progress
        self._done = 0
        if total:
            self._report("")

    def on_result(self, task: MeasurementJob, result: Sequence[Measurement]) -> None:
        """Store what a job measured."""
        model_name = task.model.name if task.model else ""
        for key, experiment, seconds, payload in result:
            self._store.put(key, experiment, model_name, task.sample.dataset, task.sample.name, seconds, payload)
            self._done += 1
        self._report(f"{task.sample.dataset}/{task.sample.name}")

    def on_abandoned(self, task: MeasurementJob, attempts: int) -> None:
        """Stop the run.

        Raises
        ------
        EvaluationError
            Always.
        """
        raise EvaluationError(
            f"{task.sample.title}: the process that measured it died {attempts} times",
            remedy="use fewer {workers}, which need less memory",
        )

    def _report(self, name: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, name)


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


@contextmanager
def _single_thread() -> Iterator[None]:
    """Limit torch to one thread."""
    threads = limit_threads(1)
    try:
        yield
    finally:
        limit_threads(threads)


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
