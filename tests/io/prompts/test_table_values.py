"""Cells of tables, whatever they hold."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_sam.io.prompts.table_values import column_numbers, group_numbers, invalid_names, texts_of


def test_cells_that_hold_no_number_are_nan_and_too_large_ones_infinite():
    column = pd.Series([1, "2.5", "eight", None, 10**400, 1 + 2j], dtype=object)
    np.testing.assert_array_equal(column_numbers(column), [1, 2.5, np.nan, np.nan, np.inf, np.inf])


def test_groups_are_numbered_by_first_appearance_and_empty_cells_stand_alone():
    assert group_numbers(pd.Series(["b", None, "a", "b", None])).tolist() == [0, 1, 2, 0, 3]


def test_lists_are_not_names():
    assert invalid_names(pd.Series(["a", [1], 3], dtype=object)).tolist() == [False, True, False]
    assert not invalid_names(pd.Series([1, 2])).any()


def test_texts_of_some_rows():
    assert texts_of(pd.Series(["a", None, 3]), np.array([2, 1])) == ["3", None]
