"""Reports: what was measured stands in them, with n and interval; files that others can read."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from napari_sam.errors import StoreError
from napari_sam.evaluation.experiments.classical_baselines import BaselineExperiment
from napari_sam.evaluation.experiments.composition import CompositionExperiment
from napari_sam.evaluation.experiments.edge_detection import EdgeBaselineExperiment, EdgeExperiment
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from napari_sam.evaluation.experiments.proposals import ProposalExperiment
from napari_sam.evaluation.experiments.whole_images import EverythingExperiment, ExternalLabelExperiment
from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite
from napari_sam.evaluation.report.report_files import write_report
from napari_sam.evaluation.report.result_tables import short_tables
from napari_sam.evaluation.runs.experiment_runner import MeasurementResults
from napari_sam.evaluation.runs.model_spec import ModelSpec
from tests.evaluation.evaluation_stubs import Oracle, toy


def labels(shift=0):
    out = np.zeros((40, 60), np.int32)
    out[10:20, 20 + shift : 30 + shift] = 3
    return out


def point_units(model, shift=0):
    units = []
    for dataset in ("cells", "fields"):
        for i, name in enumerate("abc"):
            truth = labels(shift + i)
            payload = PointExperiment(clicks=5).measure(toy(truth, name), Oracle(truth), 0)
            units.append(SampleResult(dataset, name, payload, {"dataset": dataset, "stain": "H&E" if i else "PAS"}))
    return units


def edge_unit(name, found):
    return SampleResult(
        "BSDS500", name, {key: [[found] * 99, [100] * 99, [found] * 99, [120] * 99] for key in ("masks",)}
    )


def everything_unit(name, dataset="cells", share=0.5):
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
    drawn = [[50] * 99, [100] * 99, [50] * 99, [120] * 99]
    units = {
        ("points", "default"): point_units("default"),
        ("points", "mine"): point_units("mine", 2),
        ("baselines", ""): baseline,
        ("edges", "default"): [edge_unit("x", 60), edge_unit("y", 70)],
        ("edge baselines", ""): [SampleResult("BSDS500", n, {"sobel": drawn, "canny": drawn}) for n in "xy"],
        ("proposals", "default"): [SampleResult("cells", n, {"proposals": [9, 9], "objects": objects}) for n in "ab"],
        ("everything", "default"): [everything_unit("a"), everything_unit("b")],
        ("labels of others: cp", ""): [everything_unit("a")],
        ("labels of others: other", ""): [everything_unit("b", share=0.25)],
        ("data", ""): [
            SampleResult("cells", n, CompositionExperiment().measure(toy(labels(), n), None, 0), position=(48.0, 11.0))
            for n in "ab"
        ],
    }
    return EvaluationSuite(
        experiments,
        models,
        MeasurementResults(units, {("points", "default"): 3.0}, parameters={"default": 8_400_000, "mine": 94_000_000}),
        columns=["stain"],
    )


def test_everything_measured_stands_in_the_report(suite, tmp_path):
    written = write_report(suite, tmp_path, "Test")
    text = (tmp_path / "report.html").read_text()
    for title in (
        "Masks from points and boxes",
        "Edge detection",
        "Object proposals",
        "Everything",
        "The data",
        "Groups",
    ):
        assert title in text
    assert text.count("data:image/png;base64,") == 11
    for words in ("otsu", "sobel", "cp", "PAS", "Models compared", "default - mine", "torch", "bootstrap over images"):
        assert words in text
    assert {p.name for p in written} >= {"report.html", "report.md", "summary.csv", "records.csv", "records.parquet"}


def test_markdown_has_its_pictures_beside_it(suite, tmp_path):
    write_report(suite, tmp_path, "Test")
    text = (tmp_path / "report.md").read_text()
    for line in text.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.split("](")[1].rstrip(")")).read_bytes()[:4] == b"\x89PNG"
    assert "| **all data sets** |" in text


def test_tables_are_tidy_and_agree(suite, tmp_path):
    import pandas as pd

    write_report(suite, tmp_path, "Test")
    plain = pd.read_csv(tmp_path / "records.csv", keep_default_na=False, na_values=[""])
    packed = pd.read_parquet(tmp_path / "records.parquet")
    assert list(plain.columns) == list(packed.columns)
    assert len(plain) == len(packed) > 100
    one = packed[(packed.model == "default") & (packed.metric == "IoU@1") & (packed.protocol == "center")]
    assert (one.experiment == "points").all()
    assert len(one) == 6
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    mean = next(
        r for r in rows if r["dataset"] == "all data sets" and r["metric"] == "IoU@1" and r["method"] == "default"
    )
    assert float(mean["value"]) == pytest.approx(one.value.mean())
    assert int(mean["n"]) == 6


def test_every_number_has_its_n_and_interval_or_says_why_not(suite):
    for _, one in suite.summary():
        assert one.interval.n >= 1 or math.isnan(one.value)
        assert one.interval.images >= 1 or math.isnan(one.value)
    single = [e for _, e in suite.summary() if e.method == "cp"]
    assert single
    assert all("not defined" in e.interval.note for e in single)


def test_models_are_compared_on_the_same_objects(suite):
    found = {(d.experiment, d.protocol, d.metric): d for d in suite.differences()}
    assert ("everything", "whole image", "mSA") in found  # other programs are compared, too
    one = found["points", "center", "IoU@1"]
    interval = one.difference.interval
    assert (one.first, one.second, interval.n, interval.images) == ("default", "mine", 6, 6)
    assert interval.low <= interval.value <= interval.high


def test_two_other_programs_keep_their_own_numbers(suite):
    found = {e.method: e.value for e in suite.estimates["everything"] if e.metric == "mSA" and e.dataset == "cells"}
    assert (found["cp"], found["other"]) == (0.5, 0.25)


def test_groups_take_the_columns_that_are_there(suite):
    assert {row.column for row in suite.groups["default"]} == {"stain"}


def test_the_machine_and_the_command_are_kept(suite, tmp_path):
    suite.about["command"] = "napari-sam evaluate all data"
    write_report(suite, tmp_path, "Test")
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["command"] == "napari-sam evaluate all data"
    assert {"processor", "cores", "python", "version", "packages"} <= about.keys()


def test_short_tables_show_only_what_there_is(suite):
    tables = {t.method: t for t in short_tables("points", suite.estimates["points"])}
    assert "9 clicks" not in tables["default"].headings
    assert tables["grabcut"].headings == ("box",)
    assert "undefined" not in tables["default"].text()
    assert tables["default"].plain()["cells"]["objects"] == 3


def test_a_folder_that_cannot_be_written_is_an_error(suite, tmp_path):
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(suite, tmp_path, "Test")
