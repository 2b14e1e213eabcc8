"""Suites and their reports: every result with n and interval, in files that other programs can read."""

from __future__ import annotations

import math

from napari_sam.evaluation.report.result_tables import short_tables


def test_every_estimate_has_its_n_or_is_undefined(suite):
    for _, estimate in suite.summary():
        assert estimate.interval.n >= 1 or math.isnan(estimate.value)
        assert estimate.interval.images >= 1 or math.isnan(estimate.value)
    single = [e for _, e in suite.summary() if e.method == "cp"]
    assert single
    assert all("not defined" in e.interval.note for e in single)


def test_models_are_compared_on_the_same_objects(suite):
    by_metric = {(d.experiment, d.protocol, d.metric): d for d in suite.differences()}
    assert ("everything", "whole image", "mSA") in by_metric  # other programs are compared, too
    compared = by_metric["points", "center", "IoU@1"]
    interval = compared.difference.interval
    assert (compared.first, compared.second, interval.n, interval.images) == ("default", "mine", 6, 6)
    assert interval.low <= interval.value <= interval.high


def test_two_programs_keep_their_own_scores(suite):
    msa = {e.method: e.value for e in suite.estimates["everything"] if e.metric == "mSA" and e.dataset == "cells"}
    assert (msa["cp"], msa["other"]) == (0.5, 0.25)


def test_groups_are_computed_for_the_given_columns(suite):
    assert {row.column for row in suite.groups["default"]} == {"stain"}


def test_short_tables_have_only_measured_columns(suite):
    tables = {t.method: t for t in short_tables("points", suite.estimates["points"])}
    assert "9 clicks" not in tables["default"].headings
    assert tables["grabcut"].headings == ("box",)
    assert "undefined" not in tables["default"].text()
    assert tables["default"].plain()["cells"]["objects"] == 3
