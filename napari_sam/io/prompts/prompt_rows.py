"""Prompts of a source as rows of a table, before they are checked against an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.class_styles import joined_styles, style_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.io.class_styles import ClassStyle

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
        stack), ``track`` (text; rows of a stack with the same are one object), ``parent`` (text; track that the object
        descends from) and ``problem`` (text; what is wrong with a row).
    name, word : str
        Names of the source and of a row in messages, such as "boxes.csv" and "line".
    numbers : ndarray of int
        (rows,) number of each row in messages.
    mask : callable or None
        From the index of a row to its `MaskPrompt`, or None if the object has no pixel.
    classes : tuple of ClassStyle
        Colours and parents of the categories, as far as the source has them.
    """

    frame: pd.DataFrame
    name: str
    word: str
    numbers: NDArray[np.int64]
    mask: Callable[[int], MaskPrompt | None] | None = None
    classes: tuple[ClassStyle, ...] = ()


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
    numbers = np.arange(first, first + len(frame))
    return PromptRows(frame, name, word, numbers, classes=_classes_of(frame))


def _classes_of(frame: pd.DataFrame) -> tuple[ClassStyle, ...]:
    """Return the classes of a table, such as our own exports, with the parents and colours that it gives."""
    names = [name for name in ("category", "category_colour", "category_parent") if name in frame]
    if len(names) < 2 or names[0] != "category":
        return ()
    rows = frame[names].drop_duplicates().reindex(columns=["category", "category_colour", "category_parent"])
    styles = [style_of(*row) for row in rows.itertuples(index=False)]
    parents = [style_of(style.parent) for style in styles if style is not None]
    return joined_styles(style for style in (*styles, *parents) if style is not None)
