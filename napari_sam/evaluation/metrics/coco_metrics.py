"""COCO's metrics, by pycocotools: average precision and recall of masks, LVIS's groups and its federated labels."""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas of COCO's sizes, pixels."""

_EVERY = "all"
_MOST = 100


def size_category(area_px: int) -> str:
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


def encode_mask(mask: NDArray[np.bool_], origin: tuple[int, int], shape: tuple[int, int]) -> dict[str, Any]:
    """A crop as COCO's compressed run lengths, of an image of `shape`; as JSON holds it."""
    full = np.zeros(shape, np.uint8, order="F")
    full[origin[0] : origin[0] + mask.shape[0], origin[1] : origin[1] + mask.shape[1]] = mask
    runs = _tools()[0].encode(full)
    return {"size": [int(n) for n in runs["size"]], "counts": runs["counts"].decode("ascii")}


def ground_truth(images: Sequence[dict[str, Any]], category: str) -> dict[str, Any]:
    """COCO's tables of images given as ``{"shape", "objects": [{"runs", "area", "crowd"}]}``, all of one category."""
    annotations: list[dict[str, Any]] = []
    for at, image in enumerate(images, start=1):
        for one in image["objects"]:
            entry = {"id": len(annotations) + 1, "image_id": at, "category_id": 1, "bbox": [0, 0, 1, 1]}
            about = {"segmentation": one["runs"], "area": one["area"], "iscrowd": int(one["crowd"])}
            annotations.append({**entry, **about})
    sizes = [{"id": at, "height": one["shape"][0], "width": one["shape"][1]} for at, one in enumerate(images, start=1)]
    return {"images": sizes, "annotations": annotations, "categories": [{"id": 1, "name": category}]}


@dataclass
class CategoryMatches:
    """COCO's matching of one category, in the images that have an object or a mask of it.

    Attributes
    ----------
    category : str
        Its name; empty where categories do not count.
    run : COCOeval
        After ``evaluate``, not yet accumulated.
    images : ndarray of int
        Which images, from 0.
    """

    category: str
    run: Any
    images: NDArray[np.int64]

    def precision(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Precision (thresholds, recalls, areas), -1 where there is no object; images repeated as `weights` say."""
        run, count = self.run, len(self.images)
        evals, before = run.evalImgs, run.params.imgIds
        repeats = np.ones(count, int) if weights is None else weights[self.images].astype(int)
        chosen = np.repeat(np.arange(count), repeats)
        try:
            run.evalImgs = [evals[first + i] for first in range(0, len(evals), count) for i in chosen]
            run.params.imgIds = run._paramsEval.imgIds = list(range(1, len(chosen) + 1))
            if not len(chosen):
                return np.full((10, 101, 1 + len(SIZES)), -1.0)
            with contextlib.redirect_stdout(io.StringIO()):
                run.accumulate()
        finally:
            run.evalImgs, run.params.imgIds, run._paramsEval.imgIds = evals, before, before
        return np.asarray(run.eval["precision"][:, :, 0, :, -1])


def match_categories(
    images: Sequence[dict[str, Any]], categories: Sequence[str], most: int = _MOST, *, by_category: bool = True
) -> list[CategoryMatches]:
    """Run COCO's matching, category by category, each in the images that have it.

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
        Whether a mask must be of the object's category; if not, all are of one.

    Returns
    -------
    list of Judged
        In the order of `categories`; those that no image has are left out.

    Raises
    ------
    EvaluationError
        If a score is no number, or pycocotools is missing.
    """
    for at, image in enumerate(images, start=1):
        for one in image["found"]:
            if not math.isfinite(one["score"]):
                raise EvaluationError(f"image {at}: a detection has the score {one['score']}; give a finite number")
    out = []
    for name in categories if by_category else [""]:
        some = [(i, _of_category(image, name) if by_category else image) for i, image in enumerate(images)]
        some = [(i, one) for i, one in some if one["objects"] or one["found"]]
        if some:
            run = _judged([one for _, one in some], name, most)
            out.append(CategoryMatches(name, run, np.array([i for i, _ in some])))
    return out


def _of_category(image: dict[str, Any], name: str) -> dict[str, Any]:
    """What an image has of a category; masks of one that nobody looked for there do not count (LVIS)."""
    objects = [one for one in image["objects"] if one["category"] == name]
    found = [one for one in image["found"] if one["category"] == name]
    absent = image.get("absent")
    if absent is not None and not objects and name not in absent:
        found = []
    return {**image, "objects": objects, "found": found, "forgive": name in image.get("incomplete", ())}


def _judged(images: Sequence[dict[str, Any]], name: str, most: int) -> Any:
    """COCOeval of one category."""
    _, coco_class, eval_class = _tools()
    found = [
        {"image_id": at, "category_id": 1, "score": one["score"], "segmentation": one["runs"]}
        for at, image in enumerate(images, start=1)
        for one in image["found"]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_class()
        truth.dataset = ground_truth(images, name)
        truth.createIndex()
        answers = truth.loadRes(found) if found else coco_class()
        if not found:
            answers.dataset = {**truth.dataset, "annotations": []}
            answers.createIndex()
        run = eval_class(truth, answers, "segm")
        run.params.maxDets = [most]
        run.params.areaRng = [[0.0, 1e10], *map(list, SIZES.values())]
        run.params.areaRngLbl = [_EVERY, *SIZES]
        run.evaluate()
    for one in run.evalImgs:
        if one is not None and images[one["image_id"] - 1].get("forgive"):
            one["dtIgnore"] = one["dtIgnore"] | (one["dtMatches"] == 0)  # LVIS: perhaps it is there, unmarked
    return run


def average_precision(
    judged: Sequence[CategoryMatches], weights: NDArray[np.float64] | None = None, chosen: Container[str] | None = None
) -> dict[str, float]:
    """AP, AP50, AP75 and those of the three sizes; NaN where there is no such object.

    Parameters
    ----------
    judged : sequence of Judged
        As `evaluated` gives them.
    weights : ndarray of float, optional
        (I,) how often each image counts.
    chosen : container of str, optional
        Categories that the mean is over; all by default.
    """
    tables = [one.precision(weights) for one in judged if chosen is None or one.category in chosen]
    if not tables:
        return dict.fromkeys(("AP", "AP50", "AP75", *(f"AP {name}" for name in SIZES)), math.nan)
    precision = np.stack(tables)  # categories, thresholds, recalls, areas

    def mean(values: NDArray[np.float64]) -> float:
        known = values[values > -1]
        return float(known.mean()) if known.size else math.nan

    out = {
        "AP": mean(precision[..., 0]),
        "AP50": mean(precision[:, 0, :, 0]),
        "AP75": mean(precision[:, 5, :, 0]),
    }
    return out | {f"AP {name}": mean(precision[..., k]) for k, name in enumerate(SIZES, start=1)}


def object_recalls(
    truth: GroundTruth, masks: Sequence[tuple[NDArray[np.bool_], tuple[int, int], float]], most: int
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
        {"runs": encode_mask(o.mask, o.origin, truth.shape), "area": o.area_px, "category": "", "crowd": o.crowd}
        for o in truth.objects
    ]
    found = [{"runs": encode_mask(m, at, truth.shape), "category": "", "score": float(s)} for m, at, s in masks]
    (judged,) = match_categories(
        [{"shape": truth.shape, "objects": objects, "found": found}], [""], most, by_category=False
    )
    run = judged.run
    shares: dict[str, dict[int, float]] = {}
    for area, one in zip(run.params.areaRngLbl, run.evalImgs, strict=True):
        if one is not None:
            matched = (one["gtMatches"] > 0).mean(0)
            shares[area] = {int(i): float(v) for i, v in zip(one["gtIds"], matched, strict=True)}
    return {
        o.label: (shares[_EVERY][i], shares[size_category(o.area_px)][i])
        for i, o in enumerate(truth.objects, start=1)
        if not o.crowd
    }
