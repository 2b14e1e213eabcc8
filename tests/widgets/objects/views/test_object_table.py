"""The object table: rows, their order, and selected rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_sam.widgets.objects.views.object_table import ObjectTable


@pytest.fixture
def table(qtbot):
    made = ObjectTable()
    qtbot.addWidget(made)
    made.rows.show_table(
        pd.DataFrame(
            {
                "label": [4, 7, 9],
                "area_px": [30, 10, 20],
                "category": ["cell", None, "bud"],
                "predicted_iou": [0.5, np.nan, 0.25],
                "model": "x",
            }
        )
    )
    return made


def cells(table):
    rows = table.rows
    return [[rows.index(r, c).data() for c in range(rows.columnCount())] for r in range(rows.rowCount())]


def test_cells_are_readable_and_missing_ones_empty(table):
    titles = [table.rows.headerData(c, Qt.Orientation.Horizontal) for c in range(table.rows.columnCount())]
    assert titles == ["Id", "Class", "Area (px)", "Score"]
    assert cells(table) == [["4", "cell", "30", "0.500"], ["7", "", "10", ""], ["9", "bud", "20", "0.250"]]


@pytest.mark.parametrize(("column", "order"), [(1, [7, 9, 4]), (2, [7, 9, 4]), (0, [4, 7, 9])])
def test_rows_are_sorted_by_numbers_and_by_text(table, column, order):
    table.view.sortByColumn(column, Qt.SortOrder.AscendingOrder)
    assert table.rows.labels.tolist() == order
    table.view.sortByColumn(column, Qt.SortOrder.DescendingOrder)
    assert table.rows.labels.tolist() == order[::-1]


def test_selected_rows_are_told_and_shown_without_an_echo(table, qtbot):
    table.view.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    with qtbot.waitSignal(table.selected) as told:
        table.view.selectRow(0)
    assert told.args == [[7]]
    with qtbot.assertNotEmitted(table.selected):
        table.show_selected({4, 7})
    assert sorted(index.row() for index in table.view.selectionModel().selectedRows()) == [0, 2]


def test_a_double_click_visits_the_object(table, qtbot):
    with qtbot.waitSignal(table.visited) as told:
        table.view.doubleClicked.emit(table.rows.index(1, 2))
    assert told.args == [7]
