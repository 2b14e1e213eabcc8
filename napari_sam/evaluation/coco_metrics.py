"""COCO's metrics, by pycocotools: average precision and recall of masks, LVIS's groups and its federated labels."""

from __future__ import annotations

import contextlib
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.samples import Truth

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas of COCO's sizes, pixels."""

_EVERY = "all"
_MOST = 100


def size_name(area_px: int) -> str:
    """COCO's name for an area.

    >>> size_name(1023), size_name(1025), size_name(9217)
    ('small', 'medium', 'large')
    """
    return next(name for name, (low, high) in SIZES.items() if low <= area_px <= high)


def _tools() -> tuple[Any, Any, Any]:
    """Pycocotools' classes."""
    try:
        from pycocotools import mask as masks  # noqa: PLC0415 - only these metrics need it
        from pycocotools.coco import COCO  # noqa: PLC0415
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415
    except ImportError as error:
        raise EvaluationError("COCO's metrics need pycocotools: pip install 'napari-sam-xl[evaluate]'") from error
    return masks, COCO, COCOeval


def encode(mask: NDArray[np.bool_], origin: tuple[int, int], shape: tuple[int, int]) -> dict[str, Any]:
    """A crop as COCO's compressed run lengths, of an image of `shape`; as JSON holds it."""
    full = np.zeros(shape, np.uint8, order="F")
    full[origin[0] : origin[0] + mask.shape[0], origin[1] : origin[1] + mask.shape[1]] = mask
    runs = _tools()[0].encode(full)
    return {"size": [int(n) for n in runs["size"]], "counts": runs["counts"].decode("ascii")}


def ground_truth(images: Sequence[dict[str, Any]], categories: Sequence[str]) -> dict[str, Any]:
    """COCO's tables of images given as ``{"shape", "objects": [{"runs", "area", "category", "crowd"}]}``."""
    ids = {name: i for i, name in enumerate(categories, start=1)}
    annotations: list[dict[str, Any]] = []
    for at, image in enumerate(images, start=1):
        for one in image["objects"]:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": at,
                    "category_id": ids[one["category"]],
                    "segmentation": one["runs"],
                    "area": one["area"],
                    "iscrowd": int(one["crowd"]),
                    "bbox": [0, 0, 1, 1],
                }
            )
    return {
        "images": [
            {"id": at, "height": image["shape"][0], "width": image["shape"][1]} for at, image in enumerate(images, 1)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in ids.items()],
    }


def evaluated(
    images: Sequence[dict[str, Any]], categories: Sequence[str], most: int = _MOST, *, by_category: bool = True
) -> Any:
    """Run COCO's matching.

    Parameters
    ----------
    images : sequence of dict
        As `ground_truth` takes them, with ``"found": [{"runs", "category", "score"}]``, and for LVIS ``"absent"`` and
        ``"incomplete"``, names of categories.
    categories : sequence of str
        All names.
    most : int
        Masks of each image that count, per category.
    by_category : bool
        Whether a mask must be of the object's category.

    Returns
    -------
    COCOeval
        After ``evaluate``, not yet accumulated.

    Raises
    ------
    EvaluationError
        If a score is no number, or pycocotools is missing.
    """
    _, coco_class, eval_class = _tools()
    ids = {name: i for i, name in enumerate(categories, start=1)}
    found = []
    for at, image in enumerate(images, start=1):
        present = {one["category"] for one in image["objects"]}
        absent = image.get("absent")
        for one in image["found"]:
            if not math.isfinite(one["score"]):
                raise EvaluationError(f"image {at}: a detection has the score {one['score']}; give a finite number")
            if absent is not None and one["category"] not in present and one["category"] not in absent:
                continue  # LVIS: nobody looked for this category here
            if one["category"] in ids:
                entry = {"image_id": at, "category_id": ids[one["category"]], "score": one["score"]}
                found.append({**entry, "segmentation": one["runs"]})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_class()
        truth.dataset = ground_truth(images, categories)
        truth.createIndex()
        answers = truth.loadRes(found) if found else coco_class()
        run = eval_class(truth, answers, "segm")
        run.params.useCats = int(by_category)
        run.params.maxDets = [most]
        run.params.areaRng = [[0.0, 1e10], *map(list, SIZES.values())]
        run.params.areaRngLbl = [_EVERY, *SIZES]
        if not found:
            answers.dataset = {**truth.dataset, "annotations": []}
            answers.createIndex()
        run.evaluate()
    for one in run.evalImgs:
        if one is not None and by_category:
            name = categories[one["category_id"] - 1]
            if name in images[one["image_id"] - 1].get("incomplete", ()):
                one["dtIgnore"] = one["dtIgnore"] | (one["dtMatches"] == 0)  # LVIS: perhaps it is there, unmarked
    return run


def average_precision(run: Any, chosen: Sequence[int] | None = None) -> dict[str, float]:
    """AP, AP50, AP75 and those of the three sizes; NaN where there is no such object.

    Parameters
    ----------
    run : COCOeval
        As `evaluated` gives it.
    chosen : sequence of int, optional
        Categories (from 0) that the mean is over; all by default.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        run.accumulate()
    precision = run.eval["precision"][..., -1]  # thresholds, recalls, categories, areas
    if chosen is not None:
        precision = precision[:, :, list(chosen)]

    def mean(values: NDArray[np.float64]) -> float:
        known = values[values > -1]
        return float(known.mean()) if known.size else math.nan

    out = {"AP": mean(precision[..., 0]), "AP50": mean(precision[0, ..., 0]), "AP75": mean(precision[5, ..., 0])}
    return out | {f"AP {name}": mean(precision[..., k]) for k, name in enumerate(SIZES, start=1)}


def hits_of_objects(
    truth: Truth, masks: Sequence[tuple[NDArray[np.bool_], tuple[int, int], float]], most: int
) -> dict[int, tuple[float, float]]:
    """At which share of the ten IoU thresholds each object is found by a set of masks.

    Parameters
    ----------
    truth : Truth
        The objects.
    masks : sequence of (ndarray of bool, (int, int), float)
        Crop, its (y, x), and score.
    most : int
        Masks that count, best first.

    Returns
    -------
    dict of int to (float, float)
        By label: among all masks, and as COCO matches within the object's own size. The mean over objects of the
        first is the average recall.
    """
    objects = [
        {"runs": encode(o.mask, o.origin, truth.shape), "area": o.area_px, "category": "", "crowd": o.crowd}
        for o in truth.objects
    ]
    found = [{"runs": encode(m, at, truth.shape), "category": "", "score": float(s)} for m, at, s in masks]
    run = evaluated([{"shape": truth.shape, "objects": objects, "found": found}], [""], most, by_category=False)
    shares: dict[str, dict[int, float]] = {}
    for area, one in zip(run.params.areaRngLbl, run.evalImgs, strict=True):
        if one is not None:
            matched = (one["gtMatches"] > 0).mean(0)
            shares[area] = {int(i): float(v) for i, v in zip(one["gtIds"], matched, strict=True)}
    return {
        o.label: (shares[_EVERY][i], shares[size_name(o.area_px)][i])
        for i, o in enumerate(truth.objects, start=1)
        if not o.crowd
    }
