"""Boxes of a detector become masks: SAM's fourth experiment, judged by COCO's average precision."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping  # noqa: TC003 - resolved by `validate`
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced
from napari_sam.evaluation.experiments.experiment import OVERALL, Estimate, Experiment, Record
from napari_sam.evaluation.experiments.simulated_clicks import prediction_iou
from napari_sam.evaluation.metrics.bootstrap import CONFIDENCE, Interval, resampling
from napari_sam.evaluation.metrics.coco_metrics import average_precision, encode_mask, match_categories
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Payload, SampleResult
    from napari_sam.evaluation.metrics.coco_metrics import CategoryMatches
    from napari_sam.predictor import Predictor

_REPEATS = 100  # of the bootstrap, each of which accumulates anew
_MOST, _LVIS_MOST = 100, 300
_MOST_PAIRS = 20_000  # of images and categories, that are resampled
_GROUPS = {"f": "AP frequent", "c": "AP common", "r": "AP rare"}


@dataclass(frozen=True)
class Detection:
    """A detector's box.

    Attributes
    ----------
    box : (float, float, float, float)
        (y0, x0, y1, x1), pixels.
    category : str
        Name; empty where there are none.
    score : float
        How sure the detector is.
    """

    box: tuple[float, float, float, float]
    category: str
    score: float


def read_detections(
    path: Path, categories: Mapping[Any, str], images: Container[Any] | None = None
) -> dict[int, list[Detection]]:
    """A detector's results in COCO's format, by image id.

    Parameters
    ----------
    path : Path
        JSON list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.
    categories : mapping of int to str
        Names by id, as in the instances file.
    images : container of int, optional
        Ids that the instances file has.

    Raises
    ------
    EvaluationError
        If it is no such list, or a box, a score or a category makes no sense.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: cannot be read as JSON: {error}; export it anew") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise EvaluationError(f"{path}: not detections: give a list of entries with image_id, category_id, bbox, score")
    out: dict[int, list[Detection]] = {}
    for at, row in enumerate(rows):
        where = f"{path}: detection {at}"
        try:
            x, y, w, h = (float(v) for v in row["bbox"])
            score, image, number = float(row["score"]), row["image_id"], row.get("category_id")
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"{where}: {str(row)[:80]} has no image_id, bbox [x, y, w, h] and score") from error
        if not math.isfinite(score):
            raise EvaluationError(f"{where}: its score is {score}; give a finite number")
        if not all(math.isfinite(v) for v in (x, y, w, h)) or w <= 0 or h <= 0:
            raise EvaluationError(f"{where}: bbox {row['bbox']} is no box [x, y, w, h] with a width and a height")
        if not isinstance(image, int) or (images is not None and image not in images):
            raise EvaluationError(f"{where}: image id {image!r} is not in the instances file; use its ids")
        if categories and (not isinstance(number, int | str) or number not in categories):
            raise EvaluationError(f"{where}: category id {number!r} is not in the instances file; use its ids")
        out.setdefault(image, []).append(Detection((y, x, y + h, x + w), categories.get(number, ""), score))
    return out


@dataclass(frozen=True)
class InstanceExperiment(Experiment):
    """Masks from boxes, and once more from box and mask, as the paper does.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spread; None for all.
    per_image : int or None
        Boxes of each image: the surest of a detector, or evenly spread over the objects.
    detections : mapping of int to list of Detection, or None
        By image id; the objects' own boxes by default, which shows what the masks lose where detection is perfect.
    source : str
        Where they come from: part of the settings.
    """

    name: ClassVar[str] = "instances"
    title: ClassVar[str] = "Instances from detected boxes"
    max_images: int | None = setting(4, "images per data set, evenly spaced", low=1)
    per_image: int | None = setting(24, "objects per image, evenly spaced", low=1)
    detections: Mapping[int, list[Detection]] | None = field(default=None, compare=False, repr=False)
    source: str = "true boxes"

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"per_image": self.per_image, "source": self.source}

    def for_sample(self, sample: Sample) -> InstanceExperiment:  # noqa: D102 - as in Experiment
        if self.detections is None or sample.number is None:
            return self
        return replace(self, detections={sample.number: self.detections.get(sample.number, [])})

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        if predictor is None:
            raise TypeError("needs a predictor")
        predictor.set_image(sample.source())
        truth = sample.truth(predictor.image.shape)
        chosen, boxes = self._asked(sample, truth)
        out: Payload = {
            "shape": list(truth.shape),
            "objects": [
                {
                    "label": one.label,
                    "runs": encode_mask(one.mask, one.origin, truth.shape),
                    "area": one.area_px,
                    "category": one.category,
                    "frequency": one.frequency,
                    "crowd": one.crowd,
                }
                for one in chosen
            ],
            "absent": None if truth.absent is None else sorted(truth.absent),
            "incomplete": sorted(truth.incomplete),
            "found": {"box": [], "once": [], "refined": []},
            "iou": {},
        }
        if not boxes:
            return out
        asks: list[dict[str, Any]] = [{"box": one.box} for one in boxes]
        once = predictor.predict_many(asks)
        again = [{**ask, "mask": p} for ask, p in zip(asks, once, strict=True)]
        refined = predictor.predict_many(again, predictor.runner.kind == "default")
        for how, answers in (("once", once), ("refined", refined)):
            for p, box in zip(answers, boxes, strict=True):
                out["found"][how].append(_entry(encode_mask(p.mask, p.bbox[:2], truth.shape), box))
            if self.detections is None:
                ious = [
                    prediction_iou(p, p.best, o.mask, o.origin) for p, o in zip(answers, _counted(chosen), strict=True)
                ]
                out["iou"][how] = ious
        for box in boxes:
            y0, x0, y1, x1 = (round(v) for v in box.box)
            filled = np.ones((max(1, y1 - y0), max(1, x1 - x0)), bool)
            out["found"]["box"].append(_entry(encode_mask(filled, (y0, x0), truth.shape), box))
        return out

    def _asked(self, sample: Sample, truth: GroundTruth) -> tuple[list[TrueObject], list[Detection]]:
        """The objects that count, and the boxes to ask for."""
        if self.detections is not None:
            if sample.number is None:
                raise EvaluationError(f"{sample.title}: has no image id; detections need the COCO file they belong to")
            found = sorted(self.detections.get(sample.number, []), key=lambda one: -one.score)[: self.per_image]
            return list(truth.objects), [b for one in found if (b := _clipped(one, truth.shape)) is not None]
        counted = truth.scored_objects
        some = [counted[i] for i in evenly_spaced(len(counted), self.per_image)]
        boxes = [Detection(tuple(float(v) for v in one.box), one.category, 1.0) for one in some]  # type: ignore[arg-type]
        return [*some, *(one for one in truth.objects if one.crowd)], boxes

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for unit in units:
            labels = [one["label"] for one in unit.payload["objects"] if not one["crowd"]]
            for how, ious in unit.payload["iou"].items():
                for label, iou in zip(labels, ious, strict=True):
                    yield Record(unit.dataset, unit.sample, label, method, how, "IoU", iou)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        out: list[Estimate] = []
        for how, who, protocol in (
            ("once", method, "one pass"),
            ("refined", method, "refined"),
            ("box", "box", "box filled"),
        ):
            found: dict[str, list[_Precision]] = {}
            for dataset in sorted({one.dataset for one in units}):
                some = [one for one in units if one.dataset == dataset]
                if any(one.payload["objects"] for one in some):
                    for metric, one in _precisions(some, how, seed).items():
                        out.append(Estimate.of(who, dataset, protocol, metric, one.interval()))
                        found.setdefault(metric, []).append(one)
            for metric, over in found.items():
                known = [one for one in over if not math.isnan(one.value)]
                if len(over) > 1 and known:
                    out.append(Estimate.of(who, OVERALL, protocol, metric, _mean_of(known)))
        if not out:
            raise EvaluationError(f"instances: no object in {len(units)} images; label some")
        return out


@dataclass(frozen=True)
class _Precision:
    """A number of a data set, and what it is in resamples of its images; None where there are none."""

    value: float
    draws: NDArray[np.float64] | None
    n: int
    images: int
    note: str

    def interval(self) -> Interval:
        low, high = math.nan, math.nan
        if self.draws is not None and not np.isnan(self.draws).all():
            tail = 50 * (1 - CONFIDENCE)
            low, high = (float(v) for v in np.nanpercentile(self.draws, [tail, 100 - tail]))
        return Interval(self.value, low, high, self.n, self.images, self.note)


def _mean_of(some: Sequence[_Precision]) -> Interval:
    """The mean of data sets, each resampled by itself; one that cannot be is counted as fixed."""
    draws = np.stack([np.full(_REPEATS, one.value) if one.draws is None else one.draws for one in some])
    filled = np.where(np.isnan(draws), np.array([[one.value] for one in some]), draws).mean(0)
    fixed = sum(one.draws is None for one in some)
    note = f"mean of {len(some)} data sets" + (f", {fixed} of them counted as fixed" if fixed else "")
    varies = filled if fixed < len(some) else None
    value, n, images = float(np.mean([one.value for one in some])), sum(o.n for o in some), sum(o.images for o in some)
    return _Precision(value, varies, n, images, note).interval()


def _counted(chosen: Sequence[TrueObject]) -> list[TrueObject]:
    return [one for one in chosen if not one.crowd]


def _clipped(one: Detection, shape: tuple[int, int]) -> Detection | None:
    """A box cut to the image; None if nothing of it is inside."""
    y0, x0, y1, x1 = one.box
    y0, x0, y1, x1 = max(y0, 0.0), max(x0, 0.0), min(y1, float(shape[0])), min(x1, float(shape[1]))
    return Detection((y0, x0, y1, x1), one.category, one.score) if y1 - y0 >= 1 and x1 - x0 >= 1 else None


def _entry(runs: dict[str, Any], box: Detection) -> dict[str, Any]:
    return {"runs": runs, "category": box.category, "score": box.score}


def _precisions(units: Sequence[SampleResult], how: str, seed: int) -> dict[str, _Precision]:
    """APs of one data set by their names."""
    images = [
        {
            "shape": one.payload["shape"],
            "objects": one.payload["objects"],
            "found": one.payload["found"][how],
            "absent": one.payload["absent"],
            "incomplete": one.payload["incomplete"],
        }
        for one in units
    ]
    frequency = {o["category"]: o["frequency"] for image in images for o in image["objects"]}
    names = sorted(frequency | {o["category"]: "" for image in images for o in image["found"]})
    lvis = any(frequency.values())
    if lvis:  # 300 masks of an image count, of all categories together
        images = [{**one, "found": sorted(one["found"], key=lambda f: -f["score"])[:_LVIS_MOST]} for one in images]
    judged = match_categories(images, names, _LVIS_MOST if lvis else _MOST)
    groups = {metric: {k for k in names if frequency.get(k) == letter} for letter, metric in _GROUPS.items()}

    def numbers(weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        grouped = {m: average_precision(judged, weights, chosen)["AP"] for m, chosen in groups.items() if chosen}
        return average_precision(judged, weights) | grouped

    count = sum(not o["crowd"] for image in images for o in image["objects"])
    draws, reason = _resampled(judged, len(images), seed, numbers)
    return {
        metric: _Precision(
            value,
            draws.get(metric),
            count,
            len(images),
            "no such object: not defined" if math.isnan(value) else reason,
        )
        for metric, value in numbers().items()
    }


def _resampled(
    judged: Sequence[CategoryMatches], count: int, seed: int, numbers: Callable[[NDArray[np.float64]], dict[str, float]]
) -> tuple[dict[str, NDArray[np.float64]], str]:
    """What numbers are in resamples of the images, or why there are none."""
    if count < 2:
        return {}, "one image: the interval is not defined"
    if sum(len(one.images) for one in judged) > _MOST_PAIRS:
        return {}, "so many images and categories are not resampled: no interval"
    found = [numbers(weights) for weights in resampling(count, np.random.default_rng([seed, 7]), _REPEATS)]
    return {name: np.array([one[name] for one in found]) for name in found[0]}, ""
