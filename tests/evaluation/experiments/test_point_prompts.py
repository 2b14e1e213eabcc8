"""The point protocol on predictions with known scores."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import EvaluationError, SettingsError
from napari_sam.evaluation.experiments.classical_baselines import BaselineExperiment
from napari_sam.evaluation.experiments.classical_methods import (
    CLASSICAL_METHODS,
)
from napari_sam.evaluation.experiments.experiment import OVERALL, SampleResult
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from tests.evaluation.evaluation_stubs import Oracle, answer, toy


@pytest.fixture
def labels():
    out = np.zeros((40, 60), np.int32)
    out[10:20, 20:30] = 3
    return out


def records_of(experiment, payload, method="oracle"):
    records = experiment.records([SampleResult("toy", "a", payload)], method)
    return {(one.method, one.protocol, one.metric): one.value for one in records}


def test_scores_by_hand(labels):
    experiment = PointExperiment(clicks=9)
    scores = records_of(experiment, experiment.measure(toy(labels), Oracle(labels), 0))
    assert [scores["oracle", "center", f"IoU@{n}"] for n in (1, 2, 3, 5, 9)] == [0.5, 1, 1, 1, 1]
    assert scores["oracle", "center", "oracle@1"] == 1.0
    assert scores["oracle", "center", "NoC85"] == scores["oracle", "center", "NoC90"] == 2
    assert scores["oracle", "center", "failed 90"] == 0
    assert scores["oracle", "box", "IoU"] == scores["oracle", "box + 1 point", "IoU"] == 1.0
    assert 0.5 < scores["oracle", "noisy box", "IoU"] <= 1
    assert scores["oracle", "center", "score error@1"] == pytest.approx(0.3)


def test_an_iou_that_is_never_reached_counts_all_clicks(labels):
    class Never(Oracle):
        def _answer(self, ask):
            mask = self.labels == 3
            mask[:, 25:] = False
            return answer(mask[None], (0, 0, *mask.shape), self.labels.shape)

    experiment = PointExperiment(clicks=4)
    scores = records_of(experiment, experiment.measure(toy(labels), Never(labels), 0))
    assert (scores["oracle", "center", "NoC85"], scores["oracle", "center", "failed 85"]) == (4, 1)


def test_the_next_click_is_farthest_from_the_border_of_the_error(labels):
    oracle = Oracle(labels)
    PointExperiment(clicks=2).measure(toy(labels), oracle, 0)
    second = oracle.asked[2]  # after the first clicks at the centre and at random
    assert second["points"][0] == [14, 24]
    assert second["points"][1] == (12, 27)  # three pixels deep, as are those below it
    assert second["point_labels"] == [1, 1]
    assert second["mask"] is not None


@pytest.mark.parametrize(("kind", "several"), [("default", True), ("vit_b", False)])
def test_sam_returns_one_mask_from_the_second_click_on(labels, kind, several):
    oracle = Oracle(labels, kind)
    PointExperiment(clicks=3).measure(toy(labels), oracle, 0)
    assert oracle.several[:3] == [True, several, several]


def test_random_points_depend_only_on_the_seed(labels):
    experiment = PointExperiment(clicks=3)
    payloads = [experiment.measure(toy(labels), Oracle(labels), seed) for seed in (0, 0, 1)]
    assert payloads[0] == payloads[1]
    firsts = []
    for seed in (0, 1):
        oracle = Oracle(labels)
        experiment.measure(toy(labels), oracle, seed)
        firsts.append(oracle.asked[3]["points"][0])
        assert labels[tuple(firsts[-1])] == 3
    assert firsts[0] != firsts[1]


def test_box_noise_shrinks_and_grows(labels):
    oracle = Oracle(labels)
    boxes = []
    for seed in range(30):
        PointExperiment(clicks=1).measure(toy(labels), oracle, seed)
        boxes.append([ask["box"] for ask in oracle.asked if "box" in ask and not ask.get("points")][1])
    moved = np.array(boxes) - (10, 20, 20, 30)
    assert (moved.min(0) < 0).all()
    assert (moved.max(0) > 0).all()
    assert np.abs(moved).max() <= 5  # a standard deviation is one pixel


def test_box_noise_does_not_depend_on_clicks(labels):
    boxes = [PointExperiment(clicks=n).measure(toy(labels), Oracle(labels), 0)["noisy box"] for n in (1, 4)]
    assert boxes[0] == boxes[1]


def test_no_object_in_any_image_is_an_error(labels):
    empty = np.zeros_like(labels)
    experiment = PointExperiment()
    payload = experiment.measure(toy(empty), Oracle(empty), 0)
    assert payload == {"labels": []}
    with pytest.raises(EvaluationError, match="no object of at least 16 px in 1 images"):
        experiment.summary([SampleResult("toy", "a", payload)], "m", 0)


def test_data_sets_count_equally(labels):
    experiment = PointExperiment(clicks=1)
    payload = experiment.measure(toy(labels), Oracle(labels), 0)
    results = [SampleResult("x", "a", payload), SampleResult("y", "a", payload), SampleResult("y", "b", {"labels": []})]
    estimates = {(e.dataset, e.metric): e for e in experiment.summary(results, "m", 0) if e.protocol == "center"}
    assert estimates[OVERALL, "IoU@1"].value == 0.5
    assert estimates["x", "IoU@1"].interval.note == "one image: the interval is not defined"


def test_labels_of_another_shape_are_refused(labels):
    with pytest.raises(EvaluationError, match="the same shape as the image"):
        PointExperiment().measure(toy(labels), Oracle(labels[:, :-1]), 0)
    with pytest.raises(SettingsError, match="clicks is 0"):
        PointExperiment(clicks=0)


# ---- without a network ------------------------------------------------------------------------------------


def test_baselines_answer_the_same_objects_and_know_the_box(labels):
    experiment = BaselineExperiment(clicks=2)
    found = records_of(experiment, experiment.measure(toy(labels), None, 0))
    assert found["otsu", "center", "IoU@1"] == 1.0
    assert found["box", "box", "IoU"] == 1.0
    assert {method for method, _, _ in found} == set(CLASSICAL_METHODS)


def test_the_shipped_model_meets_the_first_issues_targets_on_nuclei(shared, default_predictor):
    from napari_sam.evaluation.datasets.dataset_formats import find_samples
    from napari_sam.evaluation.datasets.labelled_samples import select_samples

    experiment = PointExperiment(per_image=2, clicks=1)
    samples = select_samples(find_samples(shared / "data", only=["dsb2018"]), 8)
    units = [SampleResult(s.dataset, s.name, experiment.measure(s, default_predictor, 0)) for s in samples]
    found = {(e.protocol, e.metric): e.value for e in experiment.summary(units, "default", 0)}
    assert found["center", "IoU@1"] > 0.7
    assert found["box", "IoU"] > 0.75


def test_only_centre_leaves_the_other_prompts_out_and_the_centre_as_it_was(labels):
    whole = PointExperiment(clicks=3)
    short = PointExperiment(clicks=3, only_centre=True)
    every, centre = (e.measure(toy(labels), Oracle(labels), 0) for e in (whole, short))
    assert centre == {name: every[name] for name in ("labels", "area", "center")}
    assert whole.settings() != short.settings() == {"per_image": 4, "clicks": 3, "only_centre": True}
