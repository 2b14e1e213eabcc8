"""One click on the middle plane of an object: the volume that follows, and the clicks that correct it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.evaluation.datasets.stack_truth import VOLUME
from napari_sam.evaluation.datasets.stacks.labelled_stacks import open_stack_sample, select_stack_objects
from napari_sam.evaluation.experiments.experiment import Experiment, Record, require_predictor
from napari_sam.evaluation.experiments.point_prompts import object_estimates
from napari_sam.evaluation.experiments.simulated_clicks import next_click
from napari_sam.evaluation.experiments.stacks.plane_by_plane import (
    click_every_plane,
    object_at,
    segment_planes,
    stitch,
)
from napari_sam.evaluation.metrics.stacks.plane_ious import count_planes, volume_iou
from src_models.settings import setting
from src_models.training.prompt_simulation import deepest_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.propagation.propagation import Propagation
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.datasets.stack_truth import StackObject
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.evaluation.metrics.stacks.plane_ious import PlaneCounts
    from napari_sam.predictor import Predictor

TARGET_IOU = 0.85
"""IoU in three dimensions up to which clicks are counted."""

DISTANCES = (0, 1, 2, 4, 8, 16, 32)
"""Distances from the clicked plane, in planes, at which the IoU of single planes is reported."""

PROTOCOLS = {"followed": "followed", "same click": "same click on every plane", "stitched": "stitched planes"}
"""Keys of the payload, and the protocols that they stand for: the model that follows, and two baselines."""


@dataclass(frozen=True)
class VolumeExperiment(Experiment):
    """Volumes from one click: IoU in three dimensions, its decay with the distance, clicks to 0.85, and two baselines.

    Attributes
    ----------
    max_images, per_image : int or None
        Volumes of each data set and objects of each volume, evenly spaced; None for all.
    clicks : int
        Clicks on each object, the first one included.
    """

    name: ClassVar[str] = "volumes"
    title: ClassVar[str] = "Volumes from one click"
    kind: ClassVar[str] = VOLUME
    max_images: int | None = setting(None, "volumes per data set, evenly spaced", low=1)
    per_image: int | None = setting(12, "objects per volume, evenly spaced", low=1)
    clicks: int = setting(5, "simulated clicks per object", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"per_image": self.per_image, "clicks": self.clicks}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor = require_predictor(predictor)
        image, truth = open_stack_sample(sample)
        objects = select_stack_objects(truth, self.per_image)
        masks = [truth.volume(o) for o in objects]
        starts = [first_click(o, mask) for o, mask in zip(objects, masks, strict=True)]
        predictor.set_image(image)
        axis = next(iter(image.plane_axes))
        prompts = [{"points": [start]} for start in starts]
        followed = predictor.propagate_many(prompts, axis=axis) if objects else []
        same = click_every_plane(predictor, image, starts, truth.shape[0])
        stitched = stitch(segment_planes(predictor, image, truth.shape[0])) if predictor.can_dense else None
        payload: Payload = {"labels": [o.label for o in objects], "objects": []}
        for o, mask, start, first, repeated in zip(objects, masks, starts, followed, same, strict=True):
            counts = count_planes(mask, o.box, first)
            entry = {
                "voxels": o.voxels,
                "followed": volume_iou(counts),
                "same click": volume_iou(count_planes(mask, o.box, repeated)),
                "planes": plane_ious(counts, start[0]),
                "beyond": sum(not c.true for c in counts),
                "missed": sum(not c.predicted for c in counts),
                "clicks": self._correct(predictor, o, mask, first),
            }
            if stitched is not None:
                entry["stitched"] = volume_iou(count_planes(mask, o.box, object_at(stitched, start)))
            payload["objects"].append(entry)
        return payload

    def _correct(
        self, predictor: Predictor, target: StackObject, mask: NDArray[np.bool_], followed: Propagation
    ) -> list[float]:
        """Return the IoU after each correction of the plane with the largest error, up to `TARGET_IOU`.

        A correction after which nothing is selected is the last one, and does not count.
        """
        counts = count_planes(mask, target.box, followed)
        ious = [volume_iou(counts)]
        while ious[-1] < TARGET_IOU and len(ious) < self.clicks:
            worst = max(counts, key=lambda c: c.error_px)
            if not worst.true:  # it ran on: say where it ended
                followed = followed.without(_first_beyond(counts, worst.plane))
            else:
                y, x, label = _click(mask[worst.plane], target.box, followed, worst.plane)
                try:
                    followed = predictor.repropagate(followed, worst.plane, points=[(y, x)], point_labels=[label])
                except PromptError:  # the click left nothing of the object, and the same click would again
                    break
            counts = count_planes(mask, target.box, followed)
            ious.append(volume_iou(counts))
        return ious

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            for label, entry in zip(result.payload["labels"], result.payload["objects"], strict=True):
                cell = (result.dataset, result.sample, label, method)
                for key, protocol in PROTOCOLS.items():
                    if key in entry:
                        yield Record(*cell, protocol, "IoU", entry[key])
                for distance, ious in entry["planes"].items():
                    if int(distance) in DISTANCES:
                        yield Record(*cell, "planes", f"IoU@{distance}", float(np.mean(ious)))
                yield Record(*cell, "planes", "beyond", entry["beyond"])
                yield Record(*cell, "planes", "missed", entry["missed"])
                reached = entry["clicks"][-1] >= TARGET_IOU
                yield Record(*cell, "clicks", "NoC85", float(len(entry["clicks"]) if reached else self.clicks))
                yield Record(*cell, "clicks", "failed 85", float(not reached))
                yield Record(*cell, "clicks", "IoU", entry["clicks"][-1])

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return object_estimates(self, results, method, seed)


def first_click(target: StackObject, mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the deepest point (plane, y, x) of an object on its middle plane."""
    y, x = deepest_point(mask[target.middle])
    return target.middle, y + target.box.y0, x + target.box.x0


def plane_ious(counts: Sequence[PlaneCounts], start: int) -> dict[str, list[float]]:
    """Return the IoUs of the planes of the true object by their distance from the clicked plane, as JSON keeps them."""
    ious: dict[str, list[float]] = {}
    for count in counts:
        if count.true:
            ious.setdefault(str(abs(count.plane - start)), []).append(count.iou)
    return ious


def _first_beyond(counts: Sequence[PlaneCounts], plane: int) -> int:
    """Return the plane next to the true object, on the side of a plane beyond its end, on which it was found."""
    true = [c.plane for c in counts if c.true]
    beyond = [c.plane for c in counts if c.predicted and not c.true and (c.plane > true[-1]) == (plane > true[-1])]
    return min(beyond, key=lambda p: min(abs(p - true[0]), abs(p - true[-1])))


def _click(truth: NDArray[np.bool_], box: Box, followed: Propagation, plane: int) -> tuple[int, int, int]:
    """Return the next click (y, x, label) on a plane."""
    if plane in followed.planes:
        mask, frame = followed.mask(plane)
    else:
        mask, frame = np.zeros_like(truth), box
    return next_click(mask, (frame[0], frame[1]), truth, (box.y0, box.x0))
