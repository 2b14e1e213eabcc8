"""What the columns of a table of prompts mean: the names that other programs give boxes and points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_BOX, _POINT = ("y0", "x0", "y1", "x1"), ("y", "x")
_BOXES = (  # in the order of `_BOX`: scikit-image's, Pascal VOC's, and those of people
    ("bbox-0", "bbox-1", "bbox-2", "bbox-3"),
    ("ymin", "xmin", "ymax", "xmax"),
    ("top", "left", "bottom", "right"),
)
_CORNERS = (("y", "x"), ("y0", "x0"), ("ymin", "xmin"), ("top", "left"))  # that a size may follow
_SIZES = {"y": ("height", "h"), "x": ("width", "w")}
_CENTROIDS = {"centroid-0": "y", "centroid-1": "x", "centroid_y_px": "y", "centroid_x_px": "x"}
_NAPARI = ("axis-0", "axis-1")  # a points layer saved as CSV; a stack's has more, a shapes layer's "vertex-index"


def renamed(frame: pd.DataFrame, name: str, numbers: Callable[[pd.Series], NDArray[np.float64]]) -> pd.DataFrame:
    """A table with our names of columns: ``y0 x0 y1 x1`` for boxes, ``y x`` for points.

    Columns x and y beside a width and a height are the left upper corner of a box, never a point. What a column
    called "label" means depends on the rest: in a table of centroids it holds ids, and is left out.

    Parameters
    ----------
    frame : DataFrame
        The table as it is; names may be of any case.
    name : str
        What messages call it.
    numbers : callable
        From a column to its numbers (rows,).

    Returns
    -------
    DataFrame

    Raises
    ------
    PromptError
        If there is a corner with a width but no height, or the other way round.
    """
    plain = _unique(frame.rename(columns=lambda c: str(c).strip().lower()))
    if "score" not in plain.columns:
        plain = plain.rename(columns={"predicted_iou": "score"})
    for names in _BOXES:
        if not _has(plain, _BOX) and _has(plain, names):
            plain = _unique(plain.drop(columns=list(_BOX), errors="ignore").rename(columns=_to(names, _BOX)))
    sized = _from_sizes(plain, name, numbers)
    if sized is not None:
        return sized
    if not _has(plain, _BOX) and not _has(plain, _POINT):
        if _has(plain, _NAPARI) and not {"axis-2", "vertex-index"} & set(plain.columns):
            return plain.rename(columns=_to(_NAPARI, _POINT))
        plain = _unique(plain.rename(columns=_CENTROIDS)).drop(columns="label", errors="ignore")
    return plain


def _from_sizes(
    plain: pd.DataFrame, name: str, numbers: Callable[[pd.Series], NDArray[np.float64]]
) -> pd.DataFrame | None:
    """The table with boxes instead of corners and sizes; None if it has no sizes beside a corner."""
    corner = next((names for names in _CORNERS if _has(plain, names)), None)
    sizes = {axis: next((n for n in names if n in plain.columns), None) for axis, names in _SIZES.items()}
    given = [n for n in sizes.values() if n is not None]
    if corner is None or not given:
        return None
    if _has(plain, _BOX):  # says where the box is; x and y beside a size are its corner then
        return plain.drop(columns=list(_POINT), errors="ignore")
    if len(given) < 2:
        missing = "a height" if sizes["y"] is None else "a width"
        raise PromptError(
            f"{name}: columns {corner[1]}, {corner[0]} and {given[0]}, but not {missing}: give x, y, width, height "
            "(boxes), or x, y alone (points)"
        )
    y, x, h, w = (numbers(plain[n]) for n in (*corner, str(sizes["y"]), str(sizes["x"])))
    rest = plain.drop(columns=[n for n in {*corner, *given, *_BOX} if n in plain.columns])
    return rest.assign(y0=y, x0=x, y1=y + h, x1=x + w)


def _has(frame: pd.DataFrame, names: Sequence[str]) -> bool:
    return set(names) <= set(frame.columns)


def _to(names: Sequence[str], ours: Sequence[str]) -> dict[str, str]:
    return dict(zip(names, ours, strict=True))


def _unique(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.loc[:, ~frame.columns.duplicated()]
