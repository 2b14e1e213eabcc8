"""Names that begin like formulas stay text in CSV files."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.table_cells import plain_cell
from tests.io.labels.label_stubs import predicted, square

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]


@pytest.mark.parametrize("value", FORMULAS)
def test_formulas_get_an_apostrophe(value):
    assert plain_cell(value) == "'" + value.replace("\r", " ")


@pytest.mark.parametrize("value", ["cell", "-1.5", "+3e5", "", None, 3, -2.5, "a=b", "nuclei-2"])
def test_other_values_are_not_changed(value):
    assert plain_cell(value) == value


@pytest.mark.parametrize("value", FORMULAS)
def test_no_csv_file_of_a_store_has_a_formula(tmp_path, value):
    from napari_sam.io.labels.measurement.measured_table import write_table

    with LabelStore.create(tmp_path / "s", shape=(40, 40)) as labels:
        labels.commit(predicted(square()), category=value)
        category = labels.classes.names[0]  # without spaces around it
        exported = labels.export(tmp_path / "a.csv")
        measured = write_table(labels.measure(), tmp_path / "b.csv")
    for path in (exported, measured):
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert plain_cell(category) in cells
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


def test_records_have_no_formulas(tmp_path):
    from napari_sam.evaluation.report.result_tables import _write_csv

    _write_csv(tmp_path / "r.csv", ["set", "value"], [{"set": "=1+1", "value": -0.5}])
    assert (tmp_path / "r.csv").read_text() == "set,value\n'=1+1,-0.5\n"


def test_numbers_are_as_before(tmp_path):
    import pandas as pd

    from napari_sam.io.table_cells import plain_cells

    table = pd.DataFrame({"label": [1, 2], "x": [-0.5, np.nan], "category": ["a", None]})
    pd.testing.assert_frame_equal(plain_cells(table), table)
