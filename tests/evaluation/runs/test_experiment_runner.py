"""Runs: results are stored, reused and independent of the number of processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from napari_sam.errors import CancelledError, EvaluationError, SettingsError, StoreError
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates
from napari_sam.evaluation.runs.experiment_runner import result_folder, run_experiments
from napari_sam.evaluation.runs.model_spec import ModelSpec
from napari_sam.evaluation.runs.result_store import ResultStore

calls: list[str] = []


def truth():
    return truth_from_labels(np.ones((4, 4), int))


@dataclass(frozen=True)
class Counted(Experiment):
    """Measures a random number that depends on the sample, and records the call."""

    name: ClassVar[str] = "counted"
    title: ClassVar[str] = "Counted"
    needs_model: ClassVar[bool] = False
    max_images: int | None = None
    setting: int = 0
    bad: str = ""
    dies: str = ""

    def settings(self):
        return {"setting": self.setting}

    def measure(self, sample, predictor, seed):
        if sample.name == self.bad:
            raise EvaluationError(f"{sample.name} is bad")
        if sample.name == self.dies:
            os._exit(3)
        calls.append(sample.name)
        return {"value": float(sample.rng(seed, "counted").random())}

    def records(self, units, method):
        for u in units:
            yield Record(u.dataset, u.sample, 0, method, "p", "m", u.payload["value"])

    def summary(self, units, method, seed):
        return mean_estimates(self.records(units, method), seed)


@pytest.fixture
def samples():
    calls.clear()
    return [Sample(d, n, None, truth, identity=n) for d in ("x", "y") for n in "abc"]


@pytest.fixture
def store(tmp_path):
    with ResultStore(tmp_path / "out") as results:
        yield results


def values(results):
    return [u.payload["value"] for u in results.results["counted", ""]]


def test_stored_results_are_not_measured_again(samples, store):
    first = run_experiments([Counted()], [], samples, store, workers=0)
    assert (first.measured, first.resumed, len(calls)) == (6, 0, 6)
    again = run_experiments([Counted()], [], samples, store, workers=0)
    assert (again.measured, again.resumed, len(calls)) == (0, 6, 6)
    assert values(first) == values(again)


@pytest.mark.parametrize("change", [{"setting": 1}, {"seed": 1}, {"identity": "changed"}])
def test_other_settings_seeds_and_files_are_measured_again(samples, store, change):
    run_experiments([Counted()], [], samples, store, workers=0)
    if "identity" in change:
        samples[0] = Sample("x", "a", None, truth, identity="changed")
    setting, seed = change.get("setting", 0), change.get("seed", 0)
    results = run_experiments([Counted(setting=setting)], [], samples, store, seed=seed, workers=0)
    assert results.measured == (1 if "identity" in change else 6)


def test_processes_give_identical_results(samples, store, tmp_path):
    here = run_experiments([Counted()], [], samples, store, workers=0)
    with ResultStore(tmp_path / "other") as other:
        there = run_experiments([Counted()], [], samples, other, workers=2)
    assert values(here) == values(there)
    a, b = (Counted().summary(one.results["counted", ""], "m", 0) for one in (here, there))
    assert a == b


def test_an_error_names_its_image_and_earlier_results_are_kept(samples, store):
    with pytest.raises(EvaluationError, match="c is bad"):
        run_experiments([Counted(bad="c")], [], samples, store, workers=0)
    results = run_experiments([Counted()], [], samples, store, workers=0)
    assert (results.resumed, results.measured) == (2, 4)


def test_errors_in_processes_are_raised(samples, store):
    with pytest.raises(EvaluationError, match="c is bad"):
        run_experiments([Counted(bad="c")], [], samples, store, workers=1)


def test_a_process_that_dies_repeatedly_is_an_error(samples, store):
    with pytest.raises(EvaluationError, match="died 3 times"):
        run_experiments([Counted(dies="b")], [], samples, store, workers=1)
    assert run_experiments([Counted()], [], samples, store, workers=0).resumed >= 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cancelled_run_resumes(samples, store, workers):
    done = []

    def progress(so_far, total, what):
        done.append(so_far)

    with pytest.raises(CancelledError, match="again to resume"):
        run_experiments(
            [Counted()], [], samples, store, workers=workers, progress=progress, cancelled=lambda: max(done) >= 2
        )
    results = run_experiments([Counted()], [], samples, store, workers=0)
    assert results.resumed >= 2
    assert results.resumed + results.measured == 6


def test_an_experiment_without_images_names_what_it_needs(samples, store):
    class Drawn(Counted):
        kind = "boundaries"

    with pytest.raises(EvaluationError, match="none of the 6 images has boundaries"):
        run_experiments([Drawn()], [], samples, store)
    with pytest.raises(SettingsError, match="workers is -1"):
        run_experiments([Counted()], [], samples, store, workers=-1)


def test_results_of_the_default_model_do_not_depend_on_processes(nuclei, tmp_path):
    import tifffile

    from napari_sam.evaluation.datasets.dataset_formats import find_samples
    from napari_sam.evaluation.experiments.point_prompts import PointExperiment

    for name, part in (("a", np.s_[:200, :200]), ("b", np.s_[200:400, 100:300])):
        tifffile.imwrite(tmp_path / f"{name}.image.tif", nuclei[0][part])
        tifffile.imwrite(tmp_path / f"{name}.labels.tif", nuclei[1][part].astype(np.uint16))
    results = []
    for workers in (0, 2):
        with ResultStore(tmp_path / str(workers)) as store:
            model = ModelSpec("default", "default", "cpu")
            got = run_experiments(
                [PointExperiment(per_image=2, clicks=2)], [model], find_samples(tmp_path), store, workers=workers
            )
            results.append([u.payload for u in got.results["points", "default"]])
    assert results[0] == results[1]
    assert [len(one["labels"]) for one in results[0]] == [2, 2]


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(EvaluationError, match="is a file"):
        result_folder(tmp_path / "out")
    with pytest.raises(StoreError, match="another folder"):
        ResultStore(tmp_path / "out")
