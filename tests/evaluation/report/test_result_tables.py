"""Tables in files and on the terminal."""

from __future__ import annotations

import math

import pytest

from napari_sam.errors import StoreError
from napari_sam.evaluation.experiments.experiment import OVERALL, Estimate, Record
from napari_sam.evaluation.metrics.bootstrap import Interval
from napari_sam.evaluation.report.result_tables import short_tables, sort_datasets, write_records, write_summary


def estimate(dataset="d", metric="IoU@1", value=0.5, method="m", protocol="center"):
    return Estimate(method, dataset, protocol, metric, Interval(value, 0.4, 0.6, 10, 3))


def test_all_data_sets_come_last():
    assert sort_datasets(["b", OVERALL, "a", "b"]) == ["a", "b", OVERALL]


def test_the_columns_are_those_that_were_measured():
    (table,) = short_tables("points", [estimate(), estimate(metric="IoU@3"), estimate(metric="unknown")])
    assert table.headings == ("1 click", "3 clicks")


def test_a_terminal_table_has_n_and_images():
    (table,) = short_tables("points", [estimate()])
    head, row = table.text().splitlines()
    assert head.split() == ["m", "1", "click", "n", "images"]
    assert row.split() == ["d", "0.500", "10", "3"]


def test_rows_have_intervals():
    (table,) = short_tables("points", [estimate()])
    assert table.interval_rows() == [["d", "10", "3", "0.500 [0.400, 0.600]"]]


def test_undefined_numbers_are_none_in_json():
    (table,) = short_tables("points", [estimate(value=math.nan)])
    assert table.plain() == {"d": {"objects": 10, "images": 3, "1 click": None}}


def test_the_summary_has_a_row_for_each_estimate(tmp_path):
    write_summary(tmp_path / "summary.csv", [("points", estimate())])
    head, row = (tmp_path / "summary.csv").read_text().splitlines()
    assert head == "experiment,method,dataset,protocol,metric,value,low,high,n,images,note"
    assert row == "points,m,d,center,IoU@1,0.5,0.4,0.6,10,3,"


def test_records_are_tidy(tmp_path):
    write_records(tmp_path / "records.csv", [("points", "m", Record("d", "s", 7, "m", "box", "IoU", 0.5))])
    head, row = (tmp_path / "records.csv").read_text().splitlines()
    assert head == "experiment,model,dataset,sample,object,method,protocol,metric,value"
    assert row == "points,m,d,s,7,m,box,IoU,0.5"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        write_summary(tmp_path / "missing" / "summary.csv", [])
