"""Rows of the journal: written, read, and refused if damaged."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.io.labels.journal.row_values import number, optional_text, whole
from napari_sam.io.labels.journal.rows import JournaledChange, ObjectRow

ROW = ObjectRow(7, (0, 3), 12, Box(1, 2, 5, 6), "cell", 0.9, None, "default", 4, 1.5e9)


def test_a_row_survives_json_and_columns():
    assert ObjectRow.from_json(ROW.to_json()) == ROW
    assert ObjectRow.from_columns(*ROW.columns()) == ROW
    assert ObjectRow.from_json(None) is None


def test_a_row_names_its_columns_as_version_0_1_did():
    columns = ROW.as_dict()
    assert columns["plane"] == "0,3"
    assert [columns[name] for name in ("y0", "x0", "y1", "x1")] == [1, 2, 5, 6]


@pytest.mark.parametrize("text", ["[]", "{}", '{"label": "seven"}', "damaged"])
def test_damaged_json_is_no_row(text):
    with pytest.raises(ValueError, match=r"."):
        ObjectRow.from_json(text)


def test_details_are_replaced_by_name():
    row = ROW.with_details({"category": None, "predicted_iou": np.float32(0.5)})
    assert (row.category, row.predicted_iou, row.model) == (None, 0.5, "default")
    assert type(row.predicted_iou) is float


def test_numbers_of_numpy_become_pythons_own():
    assert type(whole(np.int64(3))) is int
    assert type(number(np.float32(0.5))) is float


@pytest.mark.parametrize("value", [True, 1.5, "1", None])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match="not a whole number"):
        whole(value)


def test_a_category_may_be_a_number_as_sqlite_stores_it():
    assert (optional_text(3), optional_text("3"), optional_text(None)) == ("3", "3", None)


def test_only_changes_of_everything_mode_with_a_key_are_a_whole_image_run():
    changes = [
        JournaledChange(1, kind, "done", 0.0, run_id, {})
        for kind, run_id in [("everything", "a"), ("everything", None), ("commits", "a")]
    ]
    assert [change.is_whole_image_run for change in changes] == [True, False, False]
