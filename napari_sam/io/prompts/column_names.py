"""Names of columns that other programs give boxes and points, converted to the standard names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.prompts.prompt_rows import BOX, POINT
from napari_sam.io.prompts.table_values import column_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_BOXES = (  # in the order of `BOX`: of scikit-image, of CellProfiler, of Pascal VOC, and written by hand
    ("bbox-0", "bbox-1", "bbox-2", "bbox-3"),
    (
        "areashape_boundingboxminimum_y",
        "areashape_boundingboxminimum_x",
        "areashape_boundingboxmaximum_y",
        "areashape_boundingboxmaximum_x",
    ),
    ("ymin", "xmin", "ymax", "xmax"),
    ("top", "left", "bottom", "right"),
)
_CORNERS = (  # that a size may follow; ImageJ's first, whose columns x and y are the centroid
    ("by", "bx"),
    ("y", "x"),
    ("y0", "x0"),
    ("ymin", "xmin"),
    ("top", "left"),
)
_CENTRES = (  # of boxes that a size may follow, as detectors write them
    ("y_center", "x_center"),
    ("ycenter", "xcenter"),
    ("center_y", "center_x"),
    ("y_centre", "x_centre"),
    ("cy", "cx"),
    ("yc", "xc"),
)
_SIZES = {"y": ("height", "h"), "x": ("width", "w")}
_CENTROIDS = {"centroid-0": "y", "centroid-1": "x", "centroid_y_px": "y", "centroid_x_px": "x"}
_NAPARI = ("axis-0", "axis-1")  # a points layer saved as CSV; a stack's has more, a shapes layer's "vertex-index"


def standard_columns(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table with the standard names of columns: ``y0 x0 y1 x1`` for boxes, ``y x`` for points.

    Columns x and y beside a width and a height are the upper left corner of a box, never a point; beside ImageJ's bx
    and by they are the centroid, and left out. The meaning of a
    column "label" depends on the others: in a table of centroids it holds ids and is left out.

    Parameters
    ----------
    frame : DataFrame
        The table; upper and lower case do not matter.
    name : str
        Name of the table in messages.

    Raises
    ------
    PromptError
        If there is a corner with a width but without a height, or the reverse.
    """
    plain = _unique(frame.rename(columns=lambda c: str(c).strip().lower()))
    if "label" in plain.columns and np.isnan(column_numbers(plain["label"])).all():
        plain = plain.drop(columns="label")  # a name, such as ImageJ's of the image
    if "score" not in plain.columns:
        plain = plain.rename(columns={"predicted_iou": "score"})
    for names in _BOXES:
        if not _has(plain, BOX) and _has(plain, names):
            plain = _unique(plain.drop(columns=list(BOX), errors="ignore").rename(columns=_to(names, BOX)))
    sized = _from_sizes(plain, name)
    if sized is not None:
        return sized
    if not _has(plain, BOX) and not _has(plain, POINT):
        if _has(plain, _NAPARI) and not {"axis-2", "vertex-index"} & set(plain.columns):
            return plain.rename(columns=_to(_NAPARI, POINT))
        plain = _unique(plain.rename(columns=_CENTROIDS)).drop(columns="label", errors="ignore")
    return plain


def _from_sizes(plain: pd.DataFrame, name: str) -> pd.DataFrame | None:
    """Return the table with boxes instead of corners and sizes; None if it has no sizes beside a corner."""
    centre = next((names for names in _CENTRES if _has(plain, names)), None)
    corner = centre or next((names for names in _CORNERS if _has(plain, names)), None)
    sizes = {axis: next((n for n in names if n in plain.columns), None) for axis, names in _SIZES.items()}
    given = [n for n in sizes.values() if n is not None]
    if corner is None or not given:
        return None
    if _has(plain, BOX):  # then x and y beside a size are the corner of that box
        return plain.drop(columns=list(POINT), errors="ignore")
    if len(given) < 2:
        missing = "a height" if sizes["y"] is None else "a width"
        raise PromptError(
            f"{name}: columns {corner[1]}, {corner[0]} and {given[0]}, but not {missing}",
            remedy="give x, y, width, height (boxes), or x, y alone (points)",
        )
    y, x, h, w = (column_numbers(plain[n]) for n in (*corner, str(sizes["y"]), str(sizes["x"])))
    if centre is not None:
        y, x = y - h / 2, x - w / 2
    rest = plain.drop(columns=[n for n in {*corner, *given, *BOX, *POINT} if n in plain.columns])
    return rest.assign(y0=y, x0=x, y1=y + h, x1=x + w)


def _has(frame: pd.DataFrame, names: Sequence[str]) -> bool:
    return set(names) <= set(frame.columns)


def _to(names: Sequence[str], standard: Sequence[str]) -> dict[str, str]:
    return dict(zip(names, standard, strict=True))


def _unique(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.loc[:, ~frame.columns.duplicated()]
