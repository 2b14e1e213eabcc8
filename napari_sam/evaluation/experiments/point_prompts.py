"""SAM's first experiment: masks from clicks and boxes, and what simple methods make of the same prompts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import read_rgb, select_objects
from napari_sam.evaluation.experiments.classical_methods import (
    BOX_BASELINES,
    POINT_BASELINES,
    ObjectCrop,
    answer_box,
    answer_points,
)
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates
from napari_sam.evaluation.experiments.simulated_clicks import crop_iou, next_click, next_prompt, prediction_iou
from src_models.settings import setting
from src_models.training.prompt_simulation import deepest_point, noisy_box, random_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.evaluation.datasets.ground_truth import TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.predictor import Predictor

REPORTED_CLICKS = (1, 2, 3, 5, 9)
"""Numbers of points at which the paper reports."""

REACHED = (0.85, 0.90)
"""IoU that the number of clicks is counted to."""

_HOW = ("center", "random")


@dataclass(frozen=True)
class PointExperiment(Experiment):
    """Clicks at the centre and at random, boxes, noisy boxes, boxes with points.

    Attributes
    ----------
    max_images, per_image : int or None
        Images of each data set and objects of each image, evenly spread; None for all.
    clicks : int
        How many clicks are made.
    """

    name: ClassVar[str] = "points"
    title: ClassVar[str] = "Masks from points and boxes"
    version: ClassVar[int] = 2
    max_images: int | None = setting(8, "images per data set, evenly spaced", low=1)
    per_image: int | None = setting(4, "objects per image, evenly spaced", low=1)
    clicks: int = setting(9, "simulated clicks per object", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"per_image": self.per_image, "clicks": self.clicks}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        if predictor is None:
            raise TypeError("needs a predictor")
        predictor.set_image(sample.source())
        objects = select_objects(sample.truth(predictor.image.shape), self.per_image)
        if not objects:
            return {"labels": []}
        count = len(objects)
        rngs = [sample.rng(seed, "points", one.label) for one in objects]
        first = [deepest_point(one.mask) for one in objects]
        first += [random_point(one.mask, rng) for one, rng in zip(objects, rngs, strict=True)]
        session = _Session(predictor, [*objects, *objects], first, [*[None] * count, *rngs])  # the larger, the faster
        clicked = session.run(self.clicks)
        shaken = [sample.rng(seed, "noisy box", one.label) for one in objects]
        noise = [_noisy(one, rng, predictor.image.shape) for one, rng in zip(objects, shaken, strict=True)]
        boxes: list[dict[str, Any]] = [{"box": box} for box in (*(one.box for one in objects), *noise)]
        answers = predictor.predict_many(boxes)
        boxed, noisy = answers[:count], answers[count:]
        more = [
            next_prompt(ask, p, one.mask, one.origin) for ask, p, one in zip(boxes[:count], boxed, objects, strict=True)
        ]
        helped = predictor.predict_many(more, _several(predictor))
        return {
            "labels": [one.label for one in objects],
            "area": [one.area_px for one in objects],
            "center": asdict(clicked.part(slice(count))),
            "random": asdict(clicked.part(slice(count, None))),
            "box": _best(boxed, objects),
            "noisy box": _best(noisy, objects),
            "box + 1 point": _best(helped, objects),
        }

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for unit in units:
            for i, label in enumerate(unit.payload["labels"]):
                about = (unit.dataset, unit.sample, label, method)
                for how in _HOW:
                    found = unit.payload[how]
                    yield from _curve(about, how, found["iou"][i])
                    yield Record(*about, how, "oracle@1", found["oracle"][i][0])
                    yield Record(*about, how, "score error@1", abs(found["score"][i][0] - found["iou"][i][0]))
                for how in ("box", "noisy box", "box + 1 point"):
                    yield Record(*about, how, "IoU", unit.payload[how][i])

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return _checked_summary(self, units, method, seed)


def _checked_summary(experiment: Experiment, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:
    found = mean_estimates(experiment.records(units, method), seed)
    if not found:
        raise EvaluationError(f"{experiment.name}: no object of at least 16 px in {len(units)} images; label some")
    return found


@dataclass
class _Answers:
    """Of each object after each click: IoU of the top-scored mask, of the best one, and the score."""

    iou: list[list[float]]
    oracle: list[list[float]]
    score: list[list[float]]

    def part(self, which: slice) -> _Answers:
        """Those of some objects."""
        return _Answers(self.iou[which], self.oracle[which], self.score[which])


class _Session:
    """Clicks on all objects of an image at once, each where its mask is wrong."""

    def __init__(
        self,
        predictor: Predictor,
        objects: Sequence[TrueObject],
        first: Sequence[tuple[int, int]],
        rngs: Sequence[np.random.Generator | None],
    ) -> None:
        self.predictor, self.objects, self.rngs = predictor, objects, rngs
        self.asks: list[dict[str, Any]] = [
            {"points": [np.add(point, one.origin).tolist()], "point_labels": [1]}
            for point, one in zip(first, objects, strict=True)
        ]

    def run(self, clicks: int) -> _Answers:
        """Click so often."""
        out = _Answers([[] for _ in self.objects], [[] for _ in self.objects], [[] for _ in self.objects])
        for click in range(clicks):
            answers = self.predictor.predict_many(self.asks, _several(self.predictor) or click == 0)
            for i, (one, p) in enumerate(zip(self.objects, answers, strict=True)):
                ious = [prediction_iou(p, k, one.mask, one.origin) for k in range(p.count)]
                out.iou[i].append(ious[p.best])
                out.oracle[i].append(max(ious))
                out.score[i].append(float(np.clip(p.predicted_iou[p.best], 0, 1)))
            self.asks = [
                next_prompt(ask, p, one.mask, one.origin, rng)
                for ask, p, one, rng in zip(self.asks, answers, self.objects, self.rngs, strict=True)
            ]
        return out


def _several(predictor: Predictor) -> bool:
    """Whether a model gives three masks for several prompts, too: the default one was trained so, SAM was not."""
    return predictor.runner.kind == "default"


def _best(answers: Sequence[Prediction], objects: Sequence[TrueObject]) -> list[float]:
    return [prediction_iou(p, p.best, one.mask, one.origin) for p, one in zip(answers, objects, strict=True)]


def _noisy(one: TrueObject, rng: np.random.Generator, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """An object's box with the paper's noise: the mask is given room so that the box can grow."""
    room = 20
    (y, x), (h, w) = one.origin, one.mask.shape
    top, left = min(y, room), min(x, room)
    bottom, right = min(shape[0] - y - h, room), min(shape[1] - x - w, room)
    padded = np.pad(one.mask, ((top, bottom), (left, right)))
    y0, x0, y1, x1 = noisy_box(padded, rng)
    return y0 + y - top, x0 + x - left, y1 + y - top, x1 + x - left


def _curve(about: tuple[str, str, int, str], how: str, ious: Sequence[float]) -> Iterator[Record]:
    """IoU at the paper's numbers of points, and clicks to reach an IoU; never reached counts as all of them."""
    for n in REPORTED_CLICKS:
        if n <= len(ious):
            yield Record(*about, how, f"IoU@{n}", ious[n - 1])
    for wanted in REACHED:
        reached = [i for i, iou in enumerate(ious, start=1) if iou >= wanted]
        yield Record(*about, how, f"NoC{100 * wanted:.0f}", float(reached[0] if reached else len(ious)))
        yield Record(*about, how, f"failed {100 * wanted:.0f}", float(not reached))


@dataclass(frozen=True)
class BaselineExperiment(Experiment):
    """GrabCut, random walker, Otsu's component and flood fill on the same prompts as `Points`.

    Attributes
    ----------
    max_images, per_image : int or None
        As in `Points`; with the same numbers it takes the same objects.
    clicks : int
        How many clicks are made.
    """

    name: ClassVar[str] = "baselines"
    title: ClassVar[str] = "Without a network"
    needs_model: ClassVar[bool] = False
    max_images: int | None = setting(8, "images per data set, evenly spaced", low=1)
    per_image: int | None = setting(4, "objects per image, evenly spaced", low=1)
    clicks: int = setting(3, "simulated clicks per object", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102
        return {"per_image": self.per_image, "clicks": self.clicks}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        rgb = read_rgb(sample)
        objects = select_objects(sample.truth((rgb.shape[0], rgb.shape[1])), self.per_image)
        found: dict[str, dict[str, list[Any]]] = {"center": {}, "box": {}}
        for one in objects:
            crop = ObjectCrop(rgb, one.box)
            for name in POINT_BASELINES:
                found["center"].setdefault(name, []).append(self._clicked(name, crop, one))
            for name in BOX_BASELINES:
                mask = crop.grown(answer_box(name, crop.pixels, crop.inner_box(one.box)))
                found["box"].setdefault(name, []).append(crop_iou(mask, crop.region[:2], one.mask, one.origin))
        return {"labels": [one.label for one in objects], **found}

    def _clicked(self, name: str, crop: ObjectCrop, one: TrueObject) -> list[float]:
        y, x = deepest_point(one.mask)
        points, labels = [crop.place(y + one.origin[0], x + one.origin[1])], [1]
        out: list[float] = []
        for _ in range(self.clicks):
            mask = crop.grown(answer_points(name, crop.pixels, points, labels))
            out.append(crop_iou(mask, crop.region[:2], one.mask, one.origin))
            y, x, label = next_click(mask, crop.region[:2], one.mask, one.origin)
            points, labels = [*points, crop.place(y, x)], [*labels, label]
        return out

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for unit in units:
            for i, label in enumerate(unit.payload["labels"]):
                for name, curves in unit.payload["center"].items():
                    about = (unit.dataset, unit.sample, label, name)
                    for n in REPORTED_CLICKS:
                        if n <= len(curves[i]):
                            yield Record(*about, "center", f"IoU@{n}", curves[i][n - 1])
                for name, values in unit.payload["box"].items():
                    yield Record(unit.dataset, unit.sample, label, name, "box", "IoU", values[i])

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return _checked_summary(self, units, method, seed)
