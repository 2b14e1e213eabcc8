"""Object proposals: do a thousand masks per image, ranked, hold every object? SAM's third experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.engine.automatic.grid_filters import box_nms, point_grid
from napari_sam.engine.automatic.grid_logits import Frame, draw, measure
from napari_sam.engine.automatic.grid_masks import every_mask
from napari_sam.engine.windows import whole_window
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates
from napari_sam.evaluation.metrics.coco_metrics import object_recalls, size_category
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.grid_logits import Candidate, Measured
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.predictor import Predictor

MOST = 1000
_NMS, _NMS_SINGLE = 0.9, 0.95
_FREQUENCIES = {"f": "frequent", "c": "common", "r": "rare"}


def window_grid(
    predictor: Predictor, per_side: int, slots: slice, offset: float = 1.0
) -> tuple[list[list[Candidate]], Frame]:
    """All masks of a grid of points on an image that the network sees whole, by slot, and their frame.

    Parameters
    ----------
    predictor : Predictor
        With the image; an embedding that it has is used.
    per_side : int
        Points along each side.
    slots, offset
        As in `every_mask`.
    """
    runner = predictor.runner
    window = whole_window(predictor.image.shape, runner.img_size)
    embedding = predictor.embed(window)
    frame = Frame(window.shape, window.network_shape, window.img_size, 4 * int(embedding.shape[-1]))
    points = point_grid(per_side) * window.shape * window.scale
    return every_mask(runner, embedding, points, frame, slots=slots, offset=offset), frame


def ranked(
    candidates: Sequence[Candidate], frame: Frame, threshold: float, order: NDArray[np.float64] | None = None
) -> list[tuple[Measured, float]]:
    """Masks without duplicates, best first, with their rank: the mean of predicted IoU and stability.

    Parameters
    ----------
    candidates : sequence of Candidate
        Masks.
    frame : Frame
        Theirs.
    threshold : float
        Of the non-maximum suppression.
    order : ndarray of float, optional
        (N,) another rank for each candidate.
    """
    found = [(i, one) for i, c in enumerate(candidates) if (one := measure(c, frame, 1.0)) is not None]
    if not found:
        return []
    scores = np.array([(one.candidate.predicted_iou + one.stability_score) / 2 for _, one in found])
    if order is not None:
        scores = order[[i for i, _ in found]]
    kept = box_nms(np.array([one.box for _, one in found]), scores, threshold)
    return [(found[k][1], float(scores[k])) for k in kept]


@dataclass(frozen=True)
class ProposalExperiment(Experiment):
    """Mask AR@1000 of a grid of points, with three masks a point and with one.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spread; None for all.
    grid : int
        Points along each side; the paper has 64, and 128 for the single output.
    """

    name: ClassVar[str] = "proposals"
    title: ClassVar[str] = "Object proposals"
    max_images: int | None = setting(2, "images per data set, evenly spaced", low=1)
    grid: int = setting(16, "points along each side of the grid", low=1, high=256)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"grid": self.grid}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        if predictor is None:
            raise TypeError("needs a predictor")
        predictor.set_image(sample.source())
        truth = sample.truth(predictor.image.shape)
        if not truth.scored_objects:
            return {"objects": []}
        slots, frame = window_grid(predictor, self.grid, slice(0, 4))
        several = ranked([one for slot in slots[1:] for one in slot], frame, _NMS)[:MOST]
        chance = sample.rng(seed, "single").random(len(slots[0]))
        single = ranked(slots[0], frame, _NMS_SINGLE, chance)[:MOST]
        out: Payload = {"proposals": [len(several), len(single)], "objects": []}
        hits = [
            object_recalls(truth, [(draw(one, frame), one.box[:2], score) for one, score in found], MOST)
            for found in (several, single)
        ]
        for one in truth.scored_objects:
            out["objects"].append(
                {
                    "label": one.label,
                    "size": size_category(one.area_px),
                    "frequency": one.frequency,
                    "category": one.category,
                    "multimask": hits[0][one.label],
                    "single output": hits[1][one.label],
                }
            )
        return out

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for unit in units:
            for one in unit.payload["objects"]:
                about = (unit.dataset, unit.sample, one["label"], method)
                for how in ("multimask", "single output"):
                    whole, own = one[how]
                    yield Record(*about, f"{how}, all", f"AR@{MOST}", whole)
                    yield Record(*about, f"{how}, {one['size']}", f"AR@{MOST}", own)
                    if one["frequency"] in _FREQUENCIES:
                        yield Record(*about, f"{how}, {_FREQUENCIES[one['frequency']]}", f"AR@{MOST}", whole)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        found = mean_estimates(self.records(units, method), seed)
        if not found:
            raise EvaluationError(f"proposals: no object in {len(units)} images; label some")
        return found
