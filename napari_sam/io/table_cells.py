"""Texts in CSV files that spreadsheets must not take for formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def plain_cell(value: T) -> T | str:
    """Return a value as a CSV file may contain it: text that a spreadsheet would run gets an apostrophe before it.

    >>> plain_cell("=cmd|' /C calc'!A0"), plain_cell("-1.5"), plain_cell("cell")
    ("'=cmd|' /C calc'!A0", '-1.5', 'cell')
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ") if "\r" in value else value  # not every writer quotes it
    if not value.startswith(_FORMULA):
        return text
    try:
        float(value)
    except ValueError:
        return f"'{text}"
    return text


def plain_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with `plain_cell` of every text, also of the names of its columns."""
    texts = [name for name in table.columns if table[name].dtype.kind in "OT" or not hasattr(table[name].dtype, "kind")]
    return table.assign(**{name: table[name].map(plain_cell) for name in texts}).rename(columns=plain_cell)
