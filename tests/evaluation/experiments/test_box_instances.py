"""Masks from boxes, with a model that fills them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.box_detections import Detection
from napari_sam.evaluation.experiments.box_instances import InstanceExperiment
from napari_sam.evaluation.experiments.experiment import SampleResult
from tests.evaluation.evaluation_stubs import Oracle, toy


@pytest.fixture
def labels():
    labels = np.zeros((40, 60), np.int32)
    labels[5:15, 5:15], labels[20:30, 30:50] = 1, 2
    return labels


def summary(experiment, payload):
    return {
        (e.method, e.protocol, e.metric): e.value for e in experiment.summary([SampleResult("d", "a", payload)], "m", 0)
    }


def test_filled_true_boxes_are_perfect_for_squares(labels):
    payload = InstanceExperiment().measure(toy(labels), Oracle(labels), 0)
    assert payload["iou"] == {"once": [1, 1], "refined": [1, 1]}
    found = summary(InstanceExperiment(), payload)
    assert found["m", "refined", "AP"] == found["box", "box filled", "AP"] == 1


def test_the_second_pass_gets_the_first_mask(labels):
    oracle = Oracle(labels)
    InstanceExperiment().measure(toy(labels), oracle, 0)
    first, second = oracle.asked[0], oracle.asked[2]
    assert first["box"] == second["box"]
    assert "mask" not in first
    assert second["mask"] is not None


def test_the_most_confident_detections_are_used(labels):
    boxes = [Detection((5.0, 5.0, 15.0, 15.0), "", 0.3), Detection((20.0, 30.0, 30.0, 50.0), "", 0.9)]
    experiment = InstanceExperiment(per_image=1, detections={7: boxes}, source="detector")
    payload = experiment.measure(toy(labels, number=7), Oracle(labels), 0)
    assert [entry["score"] for entry in payload["found"]["once"]] == [0.9]
    assert payload["iou"] == {}
    assert len(payload["objects"]) == 2


def test_detections_need_an_image_id(labels):
    with pytest.raises(EvaluationError, match="has no image id"):
        InstanceExperiment(detections={}).measure(toy(labels), Oracle(labels), 0)


def test_a_process_gets_the_detections_of_its_image_only(labels):
    detections = {7: [Detection((0.0, 0.0, 5.0, 5.0), "", 1)], 8: []}
    assert InstanceExperiment(detections=detections).for_sample(toy(labels, number=7)).detections == {7: detections[7]}


def test_an_image_without_objects_has_no_masks(labels):
    payload = InstanceExperiment().measure(toy(labels * 0), Oracle(labels * 0), 0)
    assert payload["found"] == {"box": [], "once": [], "refined": []}
    with pytest.raises(EvaluationError, match="no object in 1 images"):
        summary(InstanceExperiment(), payload)


def test_values_are_recorded_by_object(labels):
    payload = InstanceExperiment().measure(toy(labels), Oracle(labels), 0)
    records = list(InstanceExperiment().records([SampleResult("d", "a", payload)], "m"))
    assert [(r.object, r.protocol) for r in records] == [(1, "once"), (2, "once"), (1, "refined"), (2, "refined")]
