"""A suite of all experiments, with results by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.evaluation.experiments.classical_baselines import BaselineExperiment
from napari_sam.evaluation.experiments.composition import CompositionExperiment
from napari_sam.evaluation.experiments.edge_detection import EdgeBaselineExperiment, EdgeExperiment
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from napari_sam.evaluation.experiments.proposals import ProposalExperiment
from napari_sam.evaluation.experiments.whole_images import EverythingExperiment, ExternalLabelExperiment
from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite
from napari_sam.evaluation.runs.experiment_runner import MeasurementResults
from napari_sam.evaluation.runs.model_spec import ModelSpec
from tests.evaluation.evaluation_stubs import Oracle, toy


def labels(shift=0):
    out = np.zeros((40, 60), np.int32)
    out[10:20, 20 + shift : 30 + shift] = 3
    return out


def point_results(model, shift=0):
    results = []
    for dataset in ("cells", "fields"):
        for i, name in enumerate("abc"):
            truth = labels(shift + i)
            payload = PointExperiment(clicks=5).measure(toy(truth, name), Oracle(truth), 0)
            results.append(SampleResult(dataset, name, payload, {"dataset": dataset, "stain": "H&E" if i else "PAS"}))
    return results


def edge_result(name, matched):
    return SampleResult(
        "BSDS500", name, {key: [[matched] * 99, [100] * 99, [matched] * 99, [120] * 99] for key in ("masks",)}
    )


def everything_result(name, dataset="cells", share=0.5):
    scores = dict.fromkeys(("msa", "ap50", "ap75", "ap90", "f1", "precision", "recall", "pq", "sq", "rq"), share)
    return SampleResult(dataset, name, {"true": 3, "found": 3, "scores": {**scores, "seg": None}})


@pytest.fixture
def suite():
    experiments = [
        PointExperiment(),
        BaselineExperiment(),
        EdgeExperiment(),
        EdgeBaselineExperiment(),
        ProposalExperiment(),
        EverythingExperiment(),
        ExternalLabelExperiment("cp"),
        ExternalLabelExperiment("other"),
        CompositionExperiment(),
    ]
    models = [ModelSpec("default", "default"), ModelSpec("mine", "mine.pth")]
    objects = [
        {
            "label": 1,
            "size": "small",
            "frequency": "r",
            "category": "",
            "multimask": [0.7, 0.7],
            "single output": [0.5, 0.5],
        }
    ]
    baseline = [SampleResult("cells", n, BaselineExperiment(clicks=1).measure(toy(labels(), n), None, 0)) for n in "ab"]
    counts = [[50] * 99, [100] * 99, [50] * 99, [120] * 99]
    results = {
        ("points", "default"): point_results("default"),
        ("points", "mine"): point_results("mine", 2),
        ("baselines", ""): baseline,
        ("edges", "default"): [edge_result("x", 60), edge_result("y", 70)],
        ("edge baselines", ""): [SampleResult("BSDS500", n, {"sobel": counts, "canny": counts}) for n in "xy"],
        ("proposals", "default"): [SampleResult("cells", n, {"proposals": [9, 9], "objects": objects}) for n in "ab"],
        ("everything", "default"): [everything_result("a"), everything_result("b")],
        ("labels of others: cp", ""): [everything_result("a")],
        ("labels of others: other", ""): [everything_result("b", share=0.25)],
        ("data", ""): [
            SampleResult("cells", n, CompositionExperiment().measure(toy(labels(), n), None, 0), position=(48.0, 11.0))
            for n in "ab"
        ],
    }
    return EvaluationSuite(
        experiments,
        models,
        MeasurementResults(
            results, {("points", "default"): 3.0}, parameters={"default": 8_400_000, "mine": 94_000_000}
        ),
        columns=["stain"],
    )
