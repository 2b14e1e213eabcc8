"""COCO's average precision and recall of masks, by pycocotools, with LVIS's category groups and federated labels."""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Area ranges of COCO's sizes, in pixels."""

_ALL_SIZES = "all"
_MAX_DETECTIONS = 100
_AP75 = 5  # index of IoU 0.75 among COCO's thresholds
_PRECISION_SHAPE = (10, 101, 1 + len(SIZES))


class RunLengths(TypedDict):
    """A mask as COCO's compressed run lengths."""

    size: list[int]
    counts: str


class ObjectEntry(TypedDict):
    """A true object; `frequency` is the LVIS frequency of its category."""

    runs: RunLengths
    area: int
    category: str
    crowd: bool
    frequency: NotRequired[str]


class DetectionEntry(TypedDict):
    """A predicted mask."""

    runs: RunLengths
    category: str
    score: float


class ImageEntry(TypedDict):
    """The true objects and predicted masks of an image; `absent` and `incomplete` are LVIS's category names."""

    shape: Sequence[int]
    objects: list[ObjectEntry]
    found: list[DetectionEntry]
    absent: NotRequired[Collection[str] | None]
    incomplete: NotRequired[Collection[str]]


def size_category(area_px: int) -> str:
    """Return COCO's name for an area.

    >>> size_category(1023), size_category(1025), size_category(9217)
    ('small', 'medium', 'large')
    """
    return next(name for name, (low, high) in SIZES.items() if low <= area_px <= high)


def _import_pycocotools() -> tuple[Any, Any, Any]:
    """Return the module of masks and the classes COCO and COCOeval, which have no types."""
    try:
        from pycocotools import mask as masks  # noqa: PLC0415 - only these metrics need it
        from pycocotools.coco import COCO  # noqa: PLC0415
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415
    except ImportError as error:
        raise EvaluationError(
            "COCO's metrics need pycocotools", remedy="pip install 'napari-sam-xl[evaluate]'"
        ) from error
    return masks, COCO, COCOeval


def encode_mask(mask: NDArray[np.bool_], origin: tuple[int, int], shape: Sequence[int]) -> RunLengths:
    """Encode a cropped mask at `origin` (y, x) of an image of `shape` as COCO's compressed run lengths."""
    full = np.zeros(shape, np.uint8, order="F")
    full[origin[0] : origin[0] + mask.shape[0], origin[1] : origin[1] + mask.shape[1]] = mask
    runs = _import_pycocotools()[0].encode(full)
    return {"size": [int(n) for n in runs["size"]], "counts": runs["counts"].decode("ascii")}


def _coco_tables(images: Sequence[ImageEntry], category: str) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a COCO file with the objects of one category."""
    annotations: list[dict[str, Any]] = []
    sizes = []
    for image_id, image in enumerate(images, start=1):
        sizes.append({"id": image_id, "height": image["shape"][0], "width": image["shape"][1]})
        for entry in image["objects"]:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": [0, 0, 1, 1],
                    "segmentation": entry["runs"],
                    "area": entry["area"],
                    "iscrowd": int(entry["crowd"]),
                }
            )
    return {"images": sizes, "annotations": annotations, "categories": [{"id": 1, "name": category}]}


@dataclass
class CategoryMatches:
    """COCO's matching of one category, in the images that have an object or a mask of it.

    Attributes
    ----------
    category : str
        Category name; empty if categories do not count.
    run : COCOeval
        Evaluated, not accumulated.
    images : ndarray of int
        Indices of the images.
    """

    category: str
    run: Any
    images: NDArray[np.int64]

    def precision(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the precision (thresholds, recalls, sizes), -1 where there is no object.

        Parameters
        ----------
        weights : ndarray of float, optional
            (I,) how often each image counts; once by default.
        """
        run, count = self.run, len(self.images)
        evals, image_ids = run.evalImgs, run.params.imgIds
        repeats = np.ones(count, int) if weights is None else weights[self.images].astype(int)
        chosen = np.repeat(np.arange(count), repeats)
        try:
            run.evalImgs = [evals[first + i] for first in range(0, len(evals), count) for i in chosen]
            run.params.imgIds = run._paramsEval.imgIds = list(range(1, len(chosen) + 1))
            if not len(chosen):
                return np.full(_PRECISION_SHAPE, -1.0)
            with contextlib.redirect_stdout(io.StringIO()):
                run.accumulate()
        finally:
            run.evalImgs, run.params.imgIds, run._paramsEval.imgIds = evals, image_ids, image_ids
        return np.asarray(run.eval["precision"][:, :, 0, :, -1])


def match_categories(
    images: Sequence[ImageEntry],
    categories: Sequence[str],
    max_detections: int = _MAX_DETECTIONS,
    *,
    by_category: bool = True,
) -> list[CategoryMatches]:
    """Run COCO's matching for each category in the images that have it.

    Parameters
    ----------
    images : sequence of ImageEntry
        True objects and predicted masks.
    categories : sequence of str
        All category names.
    max_detections : int
        Masks of each image and category that count, best scores first.
    by_category : bool
        Match only masks and objects of the same category; if False, categories are ignored.

    Returns
    -------
    list of CategoryMatches
        In the order of `categories`, without those that no image has.

    Raises
    ------
    EvaluationError
        If a score is not finite, or pycocotools is missing.
    """
    for number, image in enumerate(images, start=1):
        for entry in image["found"]:
            if not math.isfinite(entry["score"]):
                raise EvaluationError(
                    f"image {number}: a detection has the score {entry['score']}", remedy="give a finite number"
                )
    matches = []
    for name in categories if by_category else [""]:
        selected = [(i, _of_category(image, name) if by_category else image) for i, image in enumerate(images)]
        selected = [(i, image) for i, image in selected if image["objects"] or image["found"]]
        if selected:
            run = _match([image for _, image in selected], name, max_detections)
            matches.append(CategoryMatches(name, run, np.array([i for i, _ in selected])))
    return matches


def _of_category(image: ImageEntry, name: str) -> ImageEntry:
    """Keep one category; masks of a category that nobody searched for in the image do not count (LVIS)."""
    objects = [entry for entry in image["objects"] if entry["category"] == name]
    found = [entry for entry in image["found"] if entry["category"] == name]
    absent, incomplete = image.get("absent"), [name] if name in image.get("incomplete", ()) else []
    if absent is not None and not objects and name not in absent:
        found = []
    return {"shape": image["shape"], "objects": objects, "found": found, "incomplete": incomplete}


def _match(images: Sequence[ImageEntry], name: str, max_detections: int) -> Any:
    """Return the evaluated COCOeval of one category."""
    _, coco_class, eval_class = _import_pycocotools()
    detections = [
        {"image_id": image_id, "category_id": 1, "score": entry["score"], "segmentation": entry["runs"]}
        for image_id, image in enumerate(images, start=1)
        for entry in image["found"]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_class()
        truth.dataset = _coco_tables(images, name)
        truth.createIndex()
        results = truth.loadRes(detections) if detections else coco_class()
        if not detections:
            results.dataset = {**truth.dataset, "annotations": []}
            results.createIndex()
        run = eval_class(truth, results, "segm")
        run.params.maxDets = [max_detections]
        run.params.areaRng = [[0.0, 1e10], *map(list, SIZES.values())]
        run.params.areaRngLbl = [_ALL_SIZES, *SIZES]
        run.evaluate()
    for evaluation in run.evalImgs:
        if evaluation is not None and images[evaluation["image_id"] - 1].get("incomplete"):
            # LVIS: an unmatched mask may be an object that nobody labelled
            evaluation["dtIgnore"] = evaluation["dtIgnore"] | (evaluation["dtMatches"] == 0)
    return run


def average_precision(
    matches: Sequence[CategoryMatches],
    weights: NDArray[np.float64] | None = None,
    categories: Container[str] | None = None,
) -> dict[str, float]:
    """Return AP, AP50, AP75 and the APs of the three sizes; NaN where there is no such object.

    Parameters
    ----------
    matches : sequence of CategoryMatches
        From `match_categories`.
    weights : ndarray of float, optional
        (I,) how often each image counts; once by default.
    categories : container of str, optional
        Categories to average over; all by default.
    """
    tables = [m.precision(weights) for m in matches if categories is None or m.category in categories]
    if not tables:
        return dict.fromkeys(("AP", "AP50", "AP75", *(f"AP {name}" for name in SIZES)), math.nan)
    precision = np.stack(tables)  # (categories, thresholds, recalls, sizes)

    def mean(values: NDArray[np.float64]) -> float:
        known = values[values > -1]
        return float(known.mean()) if known.size else math.nan

    scores = {
        "AP": mean(precision[..., 0]),
        "AP50": mean(precision[:, 0, :, 0]),
        "AP75": mean(precision[:, _AP75, :, 0]),
    }
    return scores | {f"AP {name}": mean(precision[..., k]) for k, name in enumerate(SIZES, start=1)}


def object_recalls(
    truth: GroundTruth, masks: Sequence[tuple[NDArray[np.bool_], tuple[int, int], float]], max_detections: int
) -> dict[int, tuple[float, float]]:
    """Return the share of the ten IoU thresholds at which each object is matched by a mask.

    Parameters
    ----------
    truth : GroundTruth
        True objects.
    masks : sequence of (ndarray of bool, (int, int), float)
        Cropped mask, its (y, x), and score.
    max_detections : int
        Masks that count, best scores first.

    Returns
    -------
    dict of int to (float, float)
        By label: the share among all masks, and that of COCO's matching within the object's size. The mean over
        objects of the first is the average recall.
    """
    objects: list[ObjectEntry] = [
        {"runs": encode_mask(o.mask, o.origin, truth.shape), "area": o.area_px, "category": "", "crowd": o.crowd}
        for o in truth.objects
    ]
    found: list[DetectionEntry] = [
        {"runs": encode_mask(mask, origin, truth.shape), "category": "", "score": float(score)}
        for mask, origin, score in masks
    ]
    image: ImageEntry = {"shape": truth.shape, "objects": objects, "found": found}
    (matches,) = match_categories([image], [""], max_detections, by_category=False)
    shares: dict[str, dict[int, float]] = {}
    for size, evaluation in zip(matches.run.params.areaRngLbl, matches.run.evalImgs, strict=True):
        if evaluation is not None:
            matched = (evaluation["gtMatches"] > 0).mean(0)
            shares[size] = {int(i): float(v) for i, v in zip(evaluation["gtIds"], matched, strict=True)}
    return {
        o.label: (shares[_ALL_SIZES][i], shares[size_category(o.area_px)][i])
        for i, o in enumerate(truth.objects, start=1)
        if not o.crowd
    }
