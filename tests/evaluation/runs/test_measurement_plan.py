"""Plans: every measurement once, one job for each model and image."""

from __future__ import annotations

import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.evaluation.experiments.composition import CompositionExperiment
from napari_sam.evaluation.experiments.edge_detection import EdgeExperiment
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from napari_sam.evaluation.experiments.whole_images import EverythingExperiment
from napari_sam.evaluation.runs.measurement_plan import plan_measurements
from napari_sam.evaluation.runs.model_spec import ModelSpec

MODELS = [ModelSpec("a", "a.pth"), ModelSpec("b", "b.pth")]
PRINTS = {"a": "1", "b": "2"}


@pytest.fixture
def samples():
    return [Sample("d", name, None, lambda: None, identity=name) for name in "xyz"]


def test_a_job_holds_all_experiments_of_a_model_on_an_image(samples):
    plan = plan_measurements([PointExperiment(), EverythingExperiment()], MODELS, samples, 0, PRINTS)
    assert len(plan.jobs) == 6
    assert all(len(job.experiments) == 2 for job in plan.jobs)
    assert len(plan.keys) == len(plan.measurements) == 12


def test_experiments_without_a_model_run_once(samples):
    plan = plan_measurements([CompositionExperiment()], MODELS, samples, 0, PRINTS)
    assert [(job.model, job.sample.name) for job in plan.jobs] == [(None, "x"), (None, "y"), (None, "z")]


def test_only_the_selected_images_are_planned(samples):
    plan = plan_measurements([EverythingExperiment(max_images=2)], MODELS[:1], samples, 0, PRINTS)
    assert [planned.sample.name for planned in plan.measurements] == ["x", "z"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"prints": {"a": "3"}}, {"clicks": 2}])
def test_a_key_depends_on_seed_weights_and_settings(samples, change):
    def keys(seed=0, prints=PRINTS, clicks=9):
        return plan_measurements([PointExperiment(clicks=clicks)], MODELS[:1], samples, seed, prints).keys

    assert not keys() & keys(**change)


def test_stored_measurements_are_removed_from_a_job(samples):
    (job, *_) = plan_measurements([PointExperiment(), EverythingExperiment()], MODELS, samples, 0, PRINTS).jobs
    left = job.without({job.experiments[0][0]})
    assert [experiment.name for _, experiment in left.experiments] == ["everything"]
    assert left.sample is job.sample


def test_images_of_the_wrong_kind_are_named(samples):
    with pytest.raises(EvaluationError, match="none of the 3 images has boundaries"):
        plan_measurements([EdgeExperiment()], MODELS, samples, 0, PRINTS)
