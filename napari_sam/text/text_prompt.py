"""One object by a phrase: the best of those that fit, which points may correct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.errors import NothingFitsError, PromptError
from napari_sam.text.text_search import TextSearch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.text.text_detector import TextDetector
    from napari_sam.text.text_search import Cancelled, SearchPredictor, TextObjects


def search_with(detector: TextSearch | TextDetector | str | Path | None) -> TextSearch:
    """Return a search: the given one, or one with the default vocabulary and a detector for other words."""
    return detector if isinstance(detector, TextSearch) else TextSearch(detector=detector)


def prompt_of_text(
    text: str,
    predictor: SearchPredictor,
    given: Mapping[str, Any],
    detector: TextSearch | TextDetector | str | Path | None = None,
    cancelled: Cancelled | None = None,
) -> dict[str, Any]:
    """Return the prompt of the object that fits a phrase best: its box and its mask, and the points that are given.

    Parameters
    ----------
    text : str
        The phrase.
    predictor : Predictor
        A predictor with an image.
    given : mapping
        ``points`` and ``point_labels`` correct the choice: the object holds those of label 1, and none of label 0. If
        no object does, the points alone are the prompt. ``box`` is the part of the image that is searched.
    detector : TextSearch, TextDetector, str or Path, optional
        Open-vocabulary model for words outside the vocabulary, or a search with its own vocabulary.
    cancelled : callable, optional
        Called between the steps; return True to stop.

    Raises
    ------
    PromptError
        If the phrase cannot be answered, or a mask is given too.
    NothingFitsError
        If nothing fits, and no point on an object is given.
    CancelledError
        If `cancelled()` returned True.
    """
    if given.get("mask") is not None:
        raise PromptError("text and a mask are given", parameter="mask", remedy="give {text} or {mask}, not both")
    box = given.get("box")
    region = None if box is None else _whole_pixels(box)
    found = search_with(detector).find(text, predictor, region, cancelled=cancelled)
    points = {key: given[key] for key in ("points", "point_labels") if given.get(key) is not None}
    index = _best(found, points)
    if index is not None:
        y0, x0, y1, x1 = (int(v) for v in found.boxes[index])
        mask = MaskPrompt(_enlarged(found, index), (y0, x0, y1, x1))
        return {**points, "box": (y0, x0, y1, x1), "mask": mask}
    if "points" in points and np.any(np.asarray(points.get("point_labels", 1)) == 1):
        return points
    raise NothingFitsError(
        f"text: nothing fits {text!r}", parameter="text", remedy="use other words, or a point or box"
    )


def _whole_pixels(box: Any) -> tuple[int, int, int, int]:
    """Return a box given by a user in whole pixels."""
    try:
        y0, x0, y1, x1 = (float(v) for v in box)
        return int(np.floor(y0)), int(np.floor(x0)), int(np.ceil(y1)), int(np.ceil(x1))
    except (TypeError, ValueError, OverflowError):
        raise PromptError(f"box is {box!r}", parameter="box", remedy="give four numbers: y0, x0, y1, x1") from None


def _best(found: TextObjects, points: Mapping[str, Any]) -> int | None:
    """Return the index of the best object that agrees with the points; None if there is none."""
    if "points" not in points:
        return 0 if len(found) else None
    coordinates = np.asarray(points["points"], np.float64).reshape(-1, 2)
    wanted = np.asarray(points.get("point_labels", np.ones(len(coordinates)))).reshape(-1) == 1
    for i in range(len(found)):
        if all(_holds(found, i, point) == want for point, want in zip(coordinates, wanted, strict=False)):
            return i
    return None


def _holds(found: TextObjects, i: int, point: NDArray[np.float64]) -> bool:
    """Return whether an object has a pixel at a point (y, x)."""
    y, x = np.floor((np.round(point) - found.boxes[i, :2]) / _factor(found)).astype(int).tolist()
    height, width = found.masks[i].shape
    return 0 <= y < height and 0 <= x < width and bool(found.masks[i][y, x])


def _enlarged(found: TextObjects, i: int) -> NDArray[np.bool_]:
    """Return the mask of an object in level-0 pixels, (h, w) of its box."""
    factor = _factor(found)
    mask = found.masks[i]
    if factor == 1:
        return mask
    y0, x0, y1, x1 = found.boxes[i]
    return np.repeat(np.repeat(mask, factor, 0), factor, 1)[: y1 - y0, : x1 - x0]


def _factor(found: TextObjects) -> int:
    return 1 if found.candidates is None else found.candidates.factor
