"""Run experiments over many images, on several processes, so that it can be stopped and goes on where it was."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_sam.errors import CancelledError, EvaluationError, SettingsError
from napari_sam.evaluation.datasets.labelled_samples import chosen_samples
from napari_sam.evaluation.experiments.experiment import Unit
from napari_sam.evaluation.experiments.result_store import unit_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Experiment, Payload
    from napari_sam.evaluation.experiments.result_store import ResultStore
    from napari_sam.predictor import Predictor

_LOOK_S = 0.2
_TRIES = 3


@dataclass(frozen=True)
class Model:
    """A network to evaluate.

    Attributes
    ----------
    name : str
        In tables.
    source : str
        Registered name or checkpoint file.
    device, precision : str
        As `Predictor` takes them.
    """

    name: str
    source: str
    device: str = "auto"
    precision: str = "auto"

    def load(self) -> Predictor:
        """The network, ready to answer."""
        from napari_sam.predictor import Predictor  # noqa: PLC0415 - torch is slow to import

        return Predictor(self.source, self.device, self.precision)

    def describe(self) -> tuple[str, int]:
        """What decides its answers (weights, kind of device and precision), and the number of its parameters."""
        predictor = self.load()
        size = sum(p.numel() for p in predictor.runner.net.parameters())
        return f"{predictor.weights}|{predictor.device.split(':')[0]}|{predictor.runner.dtype}", size


@dataclass
class Job:
    """One image for one model, and what is still to be measured there."""

    model: Model | None
    sample: Sample
    experiments: list[tuple[str, Experiment]]
    seed: int
    tries: int = 0


@dataclass
class Measured:
    """What a run has.

    Attributes
    ----------
    units : dict
        By the experiment's id and the model's name ("" where none answers), in the order of the samples.
    seconds : dict
        Of processor time for each of these.
    resumed, measured : int
        Measurements that were there already, and new ones.
    parameters : dict
        Size of each model.
    """

    units: dict[tuple[str, str], list[Unit]] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    resumed: int = 0
    measured: int = 0
    parameters: dict[str, int] = field(default_factory=dict)


def measure(
    experiments: Sequence[Experiment],
    models: Sequence[Model],
    samples: Sequence[Sample],
    store: ResultStore,
    *,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Measured:
    """Measure every image that was not measured yet, and gather all.

    Parameters
    ----------
    experiments : sequence of Experiment
        Which.
    models : sequence of Model
        Networks; those experiments that need none are made once.
    samples : sequence of Sample
        Images; each experiment takes those of its kind, up to its `max_images` of each data set.
    store : ResultStore
        Where measurements are kept.
    seed : int
        Of everything random.
    workers : int, optional
        Processes, each with one thread of the network; 0 for this process alone. By default one for each core
        without a GPU, and this process with one. The numbers do not depend on it.
    progress : callable, optional
        Called with measurements done, their number, and what is done.
    cancelled : callable, optional
        Asked all the time; when it returns True the work stops and what was measured is kept.

    Raises
    ------
    EvaluationError
        If there is no image for an experiment.
    NapariSamError
        The first thing that goes wrong; what was measured is kept.
    CancelledError
        If `cancelled` said so.
    """
    about = {one.name: one.describe() for one in models if any(e.needs_model for e in experiments)}
    jobs, keys = _plan(experiments, models, samples, seed, {name: known for name, (known, _) in about.items()})
    everything = {key for _, key in keys.values()}
    known = store.get(everything)
    todo: deque[Job] = deque()
    for job in jobs:
        job.experiments = [(key, one) for key, one in job.experiments if key not in known]
        if job.experiments:
            todo.append(job)
    sizes = {name: size for name, (_, size) in about.items()}
    out = Measured(resumed=len(known), measured=len(everything) - len(known), parameters=sizes)
    total = sum(len(job.experiments) for job in todo)
    done = 0

    def keep(job: Job, found: list[tuple[str, str, float, Payload]]) -> None:
        nonlocal done
        for key, name, seconds, payload in found:
            model = job.model.name if job.model else ""
            store.put(key, name, model, job.sample.dataset, job.sample.name, seconds, payload)
            done += 1
        if progress is not None:
            progress(done, total, f"{job.sample.dataset}/{job.sample.name}")

    if progress is not None and total:
        progress(0, total, "")
    count = _workers(workers, models) if todo else 0
    if count:
        _on_processes(todo, min(count, len(todo)), keep, cancelled)
    else:
        _here(todo, keep, cancelled)
    known = store.get(everything)
    for (name, model, _), (sample, key) in keys.items():
        unit = Unit(sample.dataset, sample.name, known[key], sample.groups, sample.position)
        out.units.setdefault((name, model), []).append(unit)
    for pair in out.units:
        out.seconds[pair] = store.seconds(key for (n, m, _), (_, key) in keys.items() if (n, m) == pair)
    return out


def _plan(
    experiments: Sequence[Experiment],
    models: Sequence[Model],
    samples: Sequence[Sample],
    seed: int,
    prints: dict[str, str],
) -> tuple[list[Job], dict[tuple[str, str, int], tuple[Sample, str]]]:
    """All jobs, and the key of every measurement by experiment, model and place."""
    jobs: dict[tuple[str, int], Job] = {}
    keys: dict[tuple[str, str, int], tuple[Sample, str]] = {}
    places = {id(one): i for i, one in enumerate(samples)}
    for experiment in experiments:
        fitting = chosen_samples([one for one in samples if one.kind == experiment.kind], experiment.max_images)
        if not fitting:
            wanted = {"boundaries": "boundaries that people drew, as BSDS500 has them"}.get(experiment.kind, "objects")
            raise EvaluationError(f"{experiment.name}: none of the {len(samples)} images has {wanted}; give other data")
        settings = experiment.settings()  # may look at many files
        for model in models if experiment.needs_model else [None]:
            name = model.name if model else ""
            for sample in fitting:
                key = unit_key(
                    experiment=experiment.name,
                    version=experiment.version,
                    settings=settings,
                    model=prints.get(name, ""),
                    sample=[sample.dataset, sample.name, sample.identity],
                    seed=seed,
                )
                place = places[id(sample)]
                job = jobs.setdefault((name, place), Job(model, sample, [], seed))
                job.experiments.append((key, experiment.for_sample(sample)))
                keys[experiment.id, name, place] = (sample, key)
    return list(jobs.values()), keys


def _workers(asked: int | None, models: Sequence[Model]) -> int:
    if asked is not None:
        if asked < 0:
            raise SettingsError(f"workers {asked}: give 0 for this process alone, or a number of processes")
        return asked
    if any(one.device not in ("auto", "cpu") for one in models):
        return 0
    import torch  # noqa: PLC0415 - slow to import

    if models and (torch.cuda.is_available() or torch.backends.mps.is_available()):
        return 0 if any(one.device == "auto" for one in models) else os.cpu_count() or 1
    return os.cpu_count() or 1


_loaded: dict[Any, Any] = {}


def _work(job: Job) -> list[tuple[str, str, float, Payload]]:
    """Measure what a job asks for, in this process; the network stays for the next one."""
    predictor = None
    if job.model is not None:
        if job.model not in _loaded:
            _loaded.clear()  # one network at a time
            _loaded[job.model] = job.model.load()
        predictor = _loaded[job.model]
    out = []
    for key, experiment in job.experiments:
        begun = time.perf_counter()
        payload = experiment.measure(job.sample, predictor, job.seed)
        out.append((key, experiment.name, time.perf_counter() - begun, payload))
    return out


def _here(
    todo: deque[Job],
    keep: Callable[[Job, list[tuple[str, str, float, Payload]]], None],
    cancelled: Callable[[], bool] | None,
) -> None:
    """In this process; with one thread, since sums depend on how they are split."""
    threads = _one_thread() if todo else None
    try:
        while todo:
            if cancelled is not None and cancelled():
                raise CancelledError("stopped; what was measured is kept, and the same command goes on")
            job = todo.popleft()
            keep(job, _work(job))
    finally:
        _loaded.clear()
        if threads is not None:
            _one_thread(threads)


def _one_thread(threads: int = 1) -> int:
    import torch  # noqa: PLC0415 - slow to import

    before: int = torch.get_num_threads()
    torch.set_num_threads(threads)
    return before


def _on_processes(
    todo: deque[Job],
    workers: int,
    keep: Callable[[Job, list[tuple[str, str, float, Payload]]], None],
    cancelled: Callable[[], bool] | None,
) -> None:
    """On several processes; one that dies is replaced."""
    while todo:
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _one_thread)
        flying: dict[Future[list[tuple[str, str, float, Payload]]], Job] = {}
        try:
            while todo or flying:
                while todo and len(flying) < workers + 1:
                    job = todo.popleft()
                    flying[pool.submit(_work, job)] = job
                finished, _ = wait(flying, _LOOK_S, FIRST_COMPLETED)
                for future in finished:
                    found = future.result()
                    keep(flying.pop(future), found)
                if cancelled is not None and cancelled():
                    raise CancelledError("stopped; what was measured is kept, and the same command goes on")
        except BrokenProcessPool as error:
            for job in flying.values():
                job.tries += 1
                if job.tries >= _TRIES:
                    raise EvaluationError(
                        f"{job.sample.title}: the process that measured it died {_TRIES} times; is there enough "
                        "memory? Fewer workers need less; in a script, put the call under if __name__ == '__main__':"
                    ) from error
                todo.append(job)
        finally:
            pool.shutdown(cancel_futures=True)


def out_folder(path: Path) -> Path:
    """A folder to write results into; refuses a file of that name."""
    if path.exists() and not path.is_dir():
        raise EvaluationError(f"{path}: is a file; give a folder for the results")
    return path
