"""SAM's third experiment, object proposals: whether the 1000 best masks of an image contain every object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.engine.automatic.grid_filters import box_nms, point_grid
from napari_sam.engine.automatic.grid_logits import MaskFrame, measure_candidate, render_candidate
from napari_sam.engine.automatic.grid_masks import decode_all_masks
from napari_sam.engine.windows import whole_window
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates, open_sample
from napari_sam.evaluation.metrics.coco_metrics import object_recalls, size_category
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.grid_logits import MaskCandidate, MeasuredMask
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.predictor import Predictor

MAX_PROPOSALS = 1000
_NMS_IOU, _NMS_IOU_SINGLE = 0.9, 0.95
_FREQUENCIES = {"f": "frequent", "c": "common", "r": "rare"}
_METRIC = f"AR@{MAX_PROPOSALS}"


def window_grid(
    predictor: Predictor, per_side: int, slots: slice, offset: float = 1.0
) -> tuple[list[list[MaskCandidate]], MaskFrame]:
    """Return all masks of a grid of points, by slot, on an image that the network sees as a whole, and their frame.

    Parameters
    ----------
    predictor : Predictor
        A predictor with the image; its cached embedding is used.
    per_side : int
        Points along each side.
    slots, offset
        Passed on to `decode_all_masks`.
    """
    runner = predictor.runner
    window = whole_window(predictor.image.shape, runner.img_size)
    embedding = predictor.embed(window)
    frame = MaskFrame(window.shape, window.network_shape, window.img_size, 4 * int(embedding.shape[-1]))
    points = point_grid(per_side) * window.shape * window.scale
    return decode_all_masks(runner, embedding, points, frame, slots=slots, offset=offset), frame


def rank_masks(
    candidates: Sequence[MaskCandidate], frame: MaskFrame, nms_iou: float, ranks: NDArray[np.float64] | None = None
) -> list[tuple[MeasuredMask, float]]:
    """Remove duplicates, and return the masks with their ranks, best first.

    Parameters
    ----------
    candidates : sequence of MaskCandidate
        Masks.
    frame : MaskFrame
        MaskFrame of the masks.
    nms_iou : float
        IoU threshold of the non-maximum suppression.
    ranks : ndarray of float, optional
        (N,) rank of each candidate, higher is better; by default the mean of predicted IoU and stability score.
    """
    masks = [(i, mask) for i, c in enumerate(candidates) if (mask := measure_candidate(c, frame, 1.0)) is not None]
    if not masks:
        return []
    scores = np.array([(mask.candidate.predicted_iou + mask.stability_score) / 2 for _, mask in masks])
    if ranks is not None:
        scores = ranks[[i for i, _ in masks]]
    kept = box_nms(np.array([mask.box for _, mask in masks]), scores, nms_iou)
    return [(masks[k][1], float(scores[k])) for k in kept]


@dataclass(frozen=True)
class ProposalExperiment(Experiment):
    """Average recall of the 1000 best masks of a grid of points, with three masks a point and with one.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spaced; None for all.
    grid : int
        Points along each side of the grid; the paper uses 64, and 128 for single masks.
    """

    name: ClassVar[str] = "proposals"
    title: ClassVar[str] = "Object proposals"
    max_images: int | None = setting(2, "images per data set, evenly spaced", low=1)
    grid: int = setting(16, "points along each side of the grid", low=1, high=256)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"grid": self.grid}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor, truth = open_sample(predictor, sample)
        if not truth.scored_objects:
            return {"objects": []}
        slots, frame = window_grid(predictor, self.grid, slice(0, 4))
        several = rank_masks([c for slot in slots[1:] for c in slot], frame, _NMS_IOU)[:MAX_PROPOSALS]
        random_ranks = sample.rng(seed, "single").random(len(slots[0]))
        single = rank_masks(slots[0], frame, _NMS_IOU_SINGLE, random_ranks)[:MAX_PROPOSALS]
        recalls = [
            object_recalls(
                truth, [(render_candidate(mask, frame), mask.box[:2], rank) for mask, rank in masks], MAX_PROPOSALS
            )
            for masks in (several, single)
        ]
        objects = [
            {
                "label": o.label,
                "size": size_category(o.area_px),
                "frequency": o.frequency,
                "category": o.category,
                "multimask": recalls[0][o.label],
                "single output": recalls[1][o.label],
            }
            for o in truth.scored_objects
        ]
        return {"proposals": [len(several), len(single)], "objects": objects}

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            for entry in result.payload["objects"]:
                cell = (result.dataset, result.sample, entry["label"], method)
                for output in ("multimask", "single output"):
                    overall, within_size = entry[output]
                    yield Record(*cell, f"{output}, all", _METRIC, overall)
                    yield Record(*cell, f"{output}, {entry['size']}", _METRIC, within_size)
                    if entry["frequency"] in _FREQUENCIES:
                        yield Record(*cell, f"{output}, {_FREQUENCIES[entry['frequency']]}", _METRIC, overall)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        estimates = mean_estimates(self.records(results, method), seed)
        if not estimates:
            raise EvaluationError(f"proposals: no object in {len(results)} images", remedy="label some objects")
        return estimates
