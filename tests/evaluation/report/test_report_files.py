"""Reports and tables in files."""

from __future__ import annotations

import csv
import json

import pytest

from napari_sam.errors import StoreError
from napari_sam.evaluation.report.report_files import command_line, write_report


def test_all_results_are_in_the_report(suite, tmp_path):
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
    clicks = packed[(packed.model == "default") & (packed.metric == "IoU@1") & (packed.protocol == "center")]
    assert (clicks.experiment == "points").all()
    assert len(clicks) == 6
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    mean = next(
        r for r in rows if r["dataset"] == "all data sets" and r["metric"] == "IoU@1" and r["method"] == "default"
    )
    assert float(mean["value"]) == pytest.approx(clicks.value.mean())
    assert int(mean["n"]) == 6


def test_machine_and_command_are_written(suite, tmp_path):
    suite.about["command"] = "napari-sam evaluate all data"
    write_report(suite, tmp_path, "Test")
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["command"] == "napari-sam evaluate all data"
    assert {"processor", "cores", "python", "version", "packages"} <= about.keys()


def test_a_folder_that_cannot_be_written_is_an_error(suite, tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(suite, tmp_path, "Test")


def test_a_command_can_be_typed_again():
    assert command_line(["evaluate", "points", "my data"]) == "napari-sam evaluate points 'my data'"
