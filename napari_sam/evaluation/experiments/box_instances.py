"""SAM's fourth experiment: masks from a detector's boxes, scored by COCO's average precision."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - resolved by `validate`
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced
from napari_sam.evaluation.experiments.box_detections import Detection
from napari_sam.evaluation.experiments.experiment import OVERALL, Estimate, Experiment, Record, open_sample
from napari_sam.evaluation.experiments.simulated_clicks import prediction_iou
from napari_sam.evaluation.metrics.coco_metrics import encode_mask
from napari_sam.evaluation.metrics.resampled_precision import mean_precision, resampled_precisions
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Payload, SampleResult
    from napari_sam.evaluation.experiments.simulated_clicks import PromptArguments
    from napari_sam.evaluation.metrics.coco_metrics import DetectionEntry, ImageEntry, RunLengths
    from napari_sam.evaluation.metrics.resampled_precision import ResampledPrecision
    from napari_sam.predictor import Predictor

_BOX_METHOD = "box"
_PASSES = (("once", "one pass"), ("refined", "refined"), ("box", "box filled"))
"""Keys of payloads and names of protocols."""


@dataclass(frozen=True)
class InstanceExperiment(Experiment):
    """Masks from boxes, and again from boxes and these masks, as the paper does.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spaced; None for all.
    per_image : int or None
        Boxes of each image: the most confident detections, or evenly spaced over the objects.
    detections : mapping of int to list of Detection, or None
        Detections by image id; the objects' own boxes by default, which shows what the masks lose when detection is
        perfect.
    source : str
        Origin of the boxes; part of the settings.
    """

    name: ClassVar[str] = "instances"
    title: ClassVar[str] = "Instances from detected boxes"
    max_images: int | None = setting(4, "images per data set, evenly spaced", low=1)
    per_image: int | None = setting(24, "boxes per image", low=1)
    detections: Mapping[int, list[Detection]] | None = field(default=None, compare=False, repr=False)
    source: str = "true boxes"

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"per_image": self.per_image, "source": self.source}

    def for_sample(self, sample: Sample) -> InstanceExperiment:  # noqa: D102 - as in Experiment
        if self.detections is None or sample.number is None:
            return self
        return replace(self, detections={sample.number: self.detections.get(sample.number, [])})

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor, truth = open_sample(predictor, sample)
        objects, boxes = self._select(sample, truth)
        payload: Payload = {
            "shape": list(truth.shape),
            "objects": [_object_entry(o, truth.shape) for o in objects],
            "absent": None if truth.absent is None else sorted(truth.absent),
            "incomplete": sorted(truth.incomplete),
            "found": {"box": [], "once": [], "refined": []},
            "iou": {},
        }
        if not boxes:
            return payload
        prompts: list[PromptArguments] = [{"box": detection.box} for detection in boxes]
        once = predictor.predict_many(prompts)
        with_masks: list[PromptArguments] = [{**q, "mask": p} for q, p in zip(prompts, once, strict=True)]
        refined = predictor.predict_many(with_masks, predictor.runner.kind == "default")
        scored = [o for o in objects if not o.crowd]
        for key, predictions in (("once", once), ("refined", refined)):
            for p, detection in zip(predictions, boxes, strict=True):
                runs = encode_mask(p.mask, p.bbox[:2], truth.shape)
                payload["found"][key].append(_detection_entry(runs, detection))
            if self.detections is None:
                payload["iou"][key] = [
                    prediction_iou(p, p.best, o.mask, o.origin) for p, o in zip(predictions, scored, strict=True)
                ]
        payload["found"]["box"] = [_detection_entry(_filled_box(d, truth.shape), d) for d in boxes]
        return payload

    def _select(self, sample: Sample, truth: GroundTruth) -> tuple[list[TrueObject], list[Detection]]:
        """Return the objects that count, and the boxes to prompt with."""
        if self.detections is not None:
            if sample.number is None:
                raise EvaluationError(
                    f"{sample.title}: has no image id", remedy="give the COCO file that the detections belong to"
                )
            detections = sorted(self.detections.get(sample.number, []), key=lambda d: -d.score)[: self.per_image]
            return list(truth.objects), [c for d in detections if (c := d.clip(truth.shape)) is not None]
        scored = truth.scored_objects
        selected = [scored[i] for i in evenly_spaced(len(scored), self.per_image)]
        boxes = [_as_detection(o) for o in selected]
        return [*selected, *(o for o in truth.objects if o.crowd)], boxes

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            labels = [entry["label"] for entry in result.payload["objects"] if not entry["crowd"]]
            for key, ious in result.payload["iou"].items():
                for label, iou in zip(labels, ious, strict=True):
                    yield Record(result.dataset, result.sample, label, method, key, "IoU", iou)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        estimates: list[Estimate] = []
        for key, protocol in _PASSES:
            name = _BOX_METHOD if key == "box" else method
            by_metric: dict[str, list[ResampledPrecision]] = {}
            for dataset in sorted({result.dataset for result in results}):
                images = [_image_entry(result, key) for result in results if result.dataset == dataset]
                if any(image["objects"] for image in images):
                    for metric, precision in resampled_precisions(images, seed).items():
                        estimates.append(Estimate(name, dataset, protocol, metric, precision.interval()))
                        by_metric.setdefault(metric, []).append(precision)
            for metric, precisions in by_metric.items():
                defined = [precision for precision in precisions if not math.isnan(precision.value)]
                if len(precisions) > 1 and defined:
                    interval = mean_precision(defined).interval()
                    estimates.append(Estimate(name, OVERALL, protocol, metric, interval))
        if not estimates:
            raise EvaluationError(f"instances: no object in {len(results)} images", remedy="label some objects")
        return estimates


def _as_detection(true_object: TrueObject) -> Detection:
    y0, x0, y1, x1 = (float(v) for v in true_object.box)
    return Detection((y0, x0, y1, x1), true_object.category, 1.0)


def _object_entry(true_object: TrueObject, shape: tuple[int, int]) -> dict[str, Any]:
    return {
        "label": true_object.label,
        "runs": encode_mask(true_object.mask, true_object.origin, shape),
        "area": true_object.area_px,
        "category": true_object.category,
        "frequency": true_object.frequency,
        "crowd": true_object.crowd,
    }


def _detection_entry(runs: RunLengths, detection: Detection) -> DetectionEntry:
    return {"runs": runs, "category": detection.category, "score": detection.score}


def _filled_box(detection: Detection, shape: tuple[int, int]) -> RunLengths:
    """Return the mask that fills a box."""
    y0, x0, y1, x1 = (round(v) for v in detection.box)
    return encode_mask(np.ones((max(1, y1 - y0), max(1, x1 - x0)), bool), (y0, x0), shape)


def _image_entry(result: SampleResult, key: str) -> ImageEntry:
    """Return the objects of an image and the masks of one pass, for the metrics."""
    payload = result.payload
    return {
        "shape": payload["shape"],
        "objects": payload["objects"],
        "found": payload["found"][key],
        "absent": payload["absent"],
        "incomplete": payload["incomplete"],
    }
