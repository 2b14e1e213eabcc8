"""Prompts of a source as rows of a table, before they are checked against an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt

BOX = ("y0", "x0", "y1", "x1")
POINT = ("y", "x")


@dataclass(frozen=True)
class PromptRows:
    """Rows of a source, not yet checked.

    Attributes
    ----------
    frame : DataFrame
        Columns ``y0 x0 y1 x1`` (boxes), ``y x`` (points), or both; optionally ``label`` (of a point: 1 on the object,
        0 beside it), ``object`` (rows with the same value are one prompt), ``category``, ``score``, ``plane`` (of a
        stack) and ``problem`` (text; what is wrong with a row).
    name, word : str
        Names of the source and of a row in messages, such as "boxes.csv" and "line".
    numbers : ndarray of int
        (rows,) number of each row in messages.
    mask : callable or None
        From the index of a row to its `MaskPrompt`, or None if the object has no pixel.
    """

    frame: pd.DataFrame
    name: str
    word: str
    numbers: NDArray[np.int64]
    mask: Callable[[int], MaskPrompt | None] | None = None


def rows_of_table(frame: pd.DataFrame, name: str, word: str = "row", first: int = 0) -> PromptRows:
    """Return the rows of a table.

    Parameters
    ----------
    frame : DataFrame
        The table.
    name, word : str
        Names of the table and of a row in messages.
    first : int
        Number of the first row in messages.

    Raises
    ------
    PromptError
        If it is empty.
    """
    if not len(frame):
        raise PromptError(f"{name}: the table is empty", remedy="give at least one box or point")
    return PromptRows(frame, name, word, np.arange(first, first + len(frame)))
