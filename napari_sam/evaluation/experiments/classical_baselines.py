"""What classical methods make of the prompts of `PointExperiment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from napari_sam.evaluation.datasets.labelled_samples import read_rgb, select_objects
from napari_sam.evaluation.experiments.classical_methods import (
    BOX_METHODS,
    POINT_METHODS,
    ObjectCrop,
    segment_from_box,
    segment_from_points,
)
from napari_sam.evaluation.experiments.experiment import Experiment, Record
from napari_sam.evaluation.experiments.point_prompts import REPORTED_CLICKS, object_estimates
from napari_sam.evaluation.experiments.simulated_clicks import crop_iou, next_click
from src_models.settings import setting
from src_models.training.prompt_simulation import deepest_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class BaselineExperiment(Experiment):
    """Masks by GrabCut, random walker, Otsu's component and flood fill.

    Attributes
    ----------
    max_images, per_image : int or None
        As in `PointExperiment`; with the same numbers the same objects are selected.
    clicks : int
        Clicks on each object.
    """

    name: ClassVar[str] = "baselines"
    title: ClassVar[str] = "Without a network"
    needs_model: ClassVar[bool] = False
    max_images: int | None = setting(8, "images per data set, evenly spaced", low=1)
    per_image: int | None = setting(4, "objects per image, evenly spaced", low=1)
    clicks: int = setting(3, "simulated clicks per object", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"per_image": self.per_image, "clicks": self.clicks}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        rgb = read_rgb(sample)
        objects = select_objects(sample.truth((rgb.shape[0], rgb.shape[1])), self.per_image)
        curves: dict[str, list[list[float]]] = {}
        ious: dict[str, list[float]] = {}
        for true_object in objects:
            crop = ObjectCrop(rgb, true_object.box)
            for method in POINT_METHODS:
                curves.setdefault(method, []).append(self._click(method, crop, true_object))
            for method in BOX_METHODS:
                mask = segment_from_box(method, crop.pixels, crop.box_to_crop(true_object.box))
                ious.setdefault(method, []).append(_crop_iou(crop, crop.to_full_size(mask), true_object))
        return {"labels": [o.label for o in objects], "center": curves, "box": ious}

    def _click(self, method: str, crop: ObjectCrop, true_object: TrueObject) -> list[float]:
        """Return the IoU after each click."""
        y, x = deepest_point(true_object.mask)
        points, labels = [crop.to_crop(y + true_object.origin[0], x + true_object.origin[1])], [1]
        ious: list[float] = []
        for _ in range(self.clicks):
            mask = crop.to_full_size(segment_from_points(method, crop.pixels, points, labels))
            ious.append(_crop_iou(crop, mask, true_object))
            y, x, label = next_click(mask, crop.region[:2], true_object.mask, true_object.origin)
            points, labels = [*points, crop.to_crop(y, x)], [*labels, label]
        return ious

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            for i, label in enumerate(result.payload["labels"]):
                for name, curves in result.payload["center"].items():
                    for n in REPORTED_CLICKS:
                        if n <= len(curves[i]):
                            cell = (result.dataset, result.sample, label, name)
                            yield Record(*cell, "center", f"IoU@{n}", curves[i][n - 1])
                for name, values in result.payload["box"].items():
                    yield Record(result.dataset, result.sample, label, name, "box", "IoU", values[i])

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return object_estimates(self, results, method, seed)


def _crop_iou(crop: ObjectCrop, mask: NDArray[np.bool_], true_object: TrueObject) -> float:
    return crop_iou(mask, crop.region[:2], true_object.mask, true_object.origin)
