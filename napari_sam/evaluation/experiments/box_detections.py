"""The boxes of a detector, as COCO stores them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from pathlib import Path

    CocoId = int | str


@dataclass(frozen=True)
class Detection:
    """A detected box.

    Attributes
    ----------
    box : (float, float, float, float)
        (y0, x0, y1, x1), in pixels.
    category : str
        Category name; empty if there are none.
    score : float
        Confidence of the detector.
    """

    box: tuple[float, float, float, float]
    category: str
    score: float

    def clip(self, shape: tuple[int, int]) -> Detection | None:
        """Return the part inside an image of `shape`; None if it is smaller than a pixel."""
        y0, x0, y1, x1 = self.box
        y0, x0, y1, x1 = max(y0, 0.0), max(x0, 0.0), min(y1, float(shape[0])), min(x1, float(shape[1]))
        return Detection((y0, x0, y1, x1), self.category, self.score) if y1 - y0 >= 1 and x1 - x0 >= 1 else None


def read_detections(
    path: Path, categories: Mapping[CocoId, str], images: Container[CocoId] | None = None
) -> dict[int, list[Detection]]:
    """Read a detector's results in COCO's format.

    Parameters
    ----------
    path : Path
        JSON list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.
    categories : mapping of (int or str) to str
        Category names by id, from the instances file.
    images : container of (int or str), optional
        Image ids of the instances file.

    Returns
    -------
    dict of int to list of Detection
        Detections by image id.

    Raises
    ------
    EvaluationError
        If the file is not such a list, or a box, a score, an image or a category is invalid.
    """
    detections: dict[int, list[Detection]] = {}
    for index, row in enumerate(_read_rows(path)):
        title = f"{path}: detection {index}"
        box, score = _read_box(row, title)
        image_id, category_id = row["image_id"], row.get("category_id")
        if not isinstance(image_id, int) or (images is not None and image_id not in images):
            raise EvaluationError(
                f"{title}: image id {image_id!r} is not in the instances file", remedy="use the ids of that file"
            )
        if categories and (not isinstance(category_id, int | str) or category_id not in categories):
            raise EvaluationError(
                f"{title}: category id {category_id!r} is not in the instances file", remedy="use the ids of that file"
            )
        category = "" if category_id is None else categories.get(category_id, "")
        detections.setdefault(image_id, []).append(Detection(box, category, score))
    return detections


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: cannot be read as JSON: {error}", remedy="export the file again") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise EvaluationError(
            f"{path}: not detections", remedy="give a list of entries with image_id, category_id, bbox and score"
        )
    return rows


def _read_box(row: dict[str, Any], title: str) -> tuple[tuple[float, float, float, float], float]:
    """Return the box (y0, x0, y1, x1) and the score of a row, which also needs an image id."""
    try:
        x, y, w, h = (float(v) for v in row["bbox"])
        score, _ = float(row["score"]), row["image_id"]
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"{title}: {str(row)[:80]} is incomplete", remedy="give image_id, bbox [x, y, w, h] and score"
        ) from error
    if not math.isfinite(score):
        raise EvaluationError(f"{title}: its score is {score}", remedy="give a finite number")
    if not all(math.isfinite(v) for v in (x, y, w, h)) or w <= 0 or h <= 0:
        raise EvaluationError(
            f"{title}: bbox {row['bbox']} is not a box", remedy="give [x, y, w, h] with a positive width and height"
        )
    return (y, x, y + h, x + w), score
