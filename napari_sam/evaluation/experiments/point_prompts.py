"""SAM's first experiment: masks from clicks and boxes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import MIN_AREA_PX, select_objects
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates, open_sample
from napari_sam.evaluation.experiments.simulated_clicks import next_prompt, prediction_iou
from src_models.settings import setting
from src_models.training.prompt_simulation import deepest_point, noisy_box, random_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.evaluation.datasets.ground_truth import TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.evaluation.experiments.simulated_clicks import PromptArguments
    from napari_sam.predictor import Predictor

REPORTED_CLICKS = (1, 2, 3, 5, 9)
"""Numbers of points at which the paper reports."""

TARGET_IOUS = (0.85, 0.90)
"""IoU levels to which clicks are counted."""

_CLICK_PROTOCOLS = ("center", "random")
_BOX_PROTOCOLS = ("box", "noisy box", "box + 1 point")
_NOISE_MARGIN_PX = 20


@dataclass(frozen=True)
class PointExperiment(Experiment):
    """Masks from clicks at the centre and at random, boxes, noisy boxes, and boxes with a click.

    Attributes
    ----------
    max_images, per_image : int or None
        Images of each data set and objects of each image, evenly spaced; None for all.
    clicks : int
        Clicks on each object.
    only_centre : bool
        Leave out random clicks and boxes.
    """

    name: ClassVar[str] = "points"
    title: ClassVar[str] = "Masks from points and boxes"
    version: ClassVar[int] = 2
    max_images: int | None = setting(8, "images per data set, evenly spaced", low=1)
    per_image: int | None = setting(4, "objects per image, evenly spaced", low=1)
    clicks: int = setting(9, "simulated clicks per object", low=1)
    only_centre: bool = setting(False, "only clicks at the centre, no random ones and no boxes")

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        chosen: dict[str, Any] = {"per_image": self.per_image, "clicks": self.clicks}
        return chosen | {"only_centre": True} if self.only_centre else chosen

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor, truth = open_sample(predictor, sample)
        objects = select_objects(truth, self.per_image)
        if not objects:
            return {"labels": []}
        count = len(objects)
        described: Payload = {"labels": [o.label for o in objects], "area": [o.area_px for o in objects]}
        starts = [deepest_point(o.mask) for o in objects]
        if self.only_centre:
            session = _ClickSession(predictor, objects, starts, [None] * count)
            return described | {"center": asdict(session.run(self.clicks))}
        rngs = [sample.rng(seed, "points", o.label) for o in objects]
        starts += [random_point(o.mask, rng) for o, rng in zip(objects, rngs, strict=True)]
        # centre and random clicks in one session: larger batches are faster
        session = _ClickSession(predictor, [*objects, *objects], starts, [*[None] * count, *rngs])
        scores = session.run(self.clicks)
        noise_rngs = [sample.rng(seed, "noisy box", o.label) for o in objects]
        noisy_boxes = [_noisy_box(o, rng, truth.shape) for o, rng in zip(objects, noise_rngs, strict=True)]
        prompts: list[PromptArguments] = [{"box": box} for box in (*(o.box for o in objects), *noisy_boxes)]
        predictions = predictor.predict_many(prompts)
        boxed, noisy = predictions[:count], predictions[count:]
        clicked = [
            next_prompt(prompt, p, o.mask, o.origin)
            for prompt, p, o in zip(prompts[:count], boxed, objects, strict=True)
        ]
        helped = predictor.predict_many(clicked, has_multimask_clicks(predictor))
        return described | {
            "center": asdict(scores.part(slice(count))),
            "random": asdict(scores.part(slice(count, None))),
            "box": _best_ious(boxed, objects),
            "noisy box": _best_ious(noisy, objects),
            "box + 1 point": _best_ious(helped, objects),
        }

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            for i, label in enumerate(result.payload["labels"]):
                cell = (result.dataset, result.sample, label, method)
                measured = result.payload.keys()
                for protocol in [p for p in _CLICK_PROTOCOLS if p in measured]:
                    scores = result.payload[protocol]
                    yield from _click_records(cell, protocol, scores["iou"][i])
                    yield Record(*cell, protocol, "oracle@1", scores["oracle"][i][0])
                    yield Record(*cell, protocol, "score error@1", abs(scores["score"][i][0] - scores["iou"][i][0]))
                for protocol in [p for p in _BOX_PROTOCOLS if p in measured]:
                    yield Record(*cell, protocol, "IoU", result.payload[protocol][i])

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return object_estimates(self, results, method, seed)


def object_estimates(experiment: Experiment, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:
    """Estimate means over objects.

    Raises
    ------
    EvaluationError
        If there is no object.
    """
    estimates = mean_estimates(experiment.records(results, method), seed)
    if not estimates:
        raise EvaluationError(
            f"{experiment.name}: no object of at least {MIN_AREA_PX} px in {len(results)} images",
            remedy="label some objects",
        )
    return estimates


def has_multimask_clicks(predictor: Predictor) -> bool:
    """Whether a model returns three masks for several prompts, too: the default model was trained so, SAM was not."""
    return predictor.runner.kind == "default"


@dataclass
class _ClickScores:
    """Scores of each object after each click: IoU of the top-scored mask and of the best one, and predicted IoU."""

    iou: list[list[float]]
    oracle: list[list[float]]
    score: list[list[float]]

    def part(self, which: slice) -> _ClickScores:
        """Return the scores of some objects."""
        return _ClickScores(self.iou[which], self.oracle[which], self.score[which])


class _ClickSession:
    """Clicks on all objects of an image at once, each where its mask differs from the true one.

    Parameters
    ----------
    predictor : Predictor
        A predictor with the image.
    objects : sequence of TrueObject
        Objects to click on; may repeat.
    starts : sequence of (int, int)
        First click on each object, in pixels of its mask.
    rngs : sequence of numpy.random.Generator or None
        Choose the further clicks; None clicks at the centre of the error.
    """

    def __init__(
        self,
        predictor: Predictor,
        objects: Sequence[TrueObject],
        starts: Sequence[tuple[int, int]],
        rngs: Sequence[np.random.Generator | None],
    ) -> None:
        self._predictor, self._objects, self._rngs = predictor, objects, rngs
        self._prompts: list[PromptArguments] = [
            {"points": [np.add(start, o.origin).tolist()], "point_labels": [1]}
            for start, o in zip(starts, objects, strict=True)
        ]

    def run(self, clicks: int) -> _ClickScores:
        """Make a number of clicks on each object."""
        scores = _ClickScores([[] for _ in self._objects], [[] for _ in self._objects], [[] for _ in self._objects])
        for click in range(clicks):
            multimask = has_multimask_clicks(self._predictor) or click == 0
            predictions = self._predictor.predict_many(self._prompts, multimask)
            for i, (o, p) in enumerate(zip(self._objects, predictions, strict=True)):
                ious = [prediction_iou(p, k, o.mask, o.origin) for k in range(p.count)]
                scores.iou[i].append(ious[p.best])
                scores.oracle[i].append(max(ious))
                scores.score[i].append(float(np.clip(p.predicted_iou[p.best], 0, 1)))
            self._prompts = [
                next_prompt(prompt, p, o.mask, o.origin, rng)
                for prompt, p, o, rng in zip(self._prompts, predictions, self._objects, self._rngs, strict=True)
            ]
        return scores


def _best_ious(predictions: Sequence[Prediction], objects: Sequence[TrueObject]) -> list[float]:
    return [prediction_iou(p, p.best, o.mask, o.origin) for p, o in zip(predictions, objects, strict=True)]


def _noisy_box(
    true_object: TrueObject, rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return an object's box with the paper's noise; the mask is padded so that the box can grow."""
    y0, x0, y1, x1 = true_object.box
    top, left = min(y0, _NOISE_MARGIN_PX), min(x0, _NOISE_MARGIN_PX)
    bottom, right = min(shape[0] - y1, _NOISE_MARGIN_PX), min(shape[1] - x1, _NOISE_MARGIN_PX)
    padded = np.pad(true_object.mask, ((top, bottom), (left, right)))
    noisy = noisy_box(padded, rng)
    return noisy[0] + y0 - top, noisy[1] + x0 - left, noisy[2] + y0 - top, noisy[3] + x0 - left


def _click_records(cell: tuple[str, str, int, str], protocol: str, ious: Sequence[float]) -> Iterator[Record]:
    """Yield IoU at the paper's numbers of points, and clicks to reach an IoU; all clicks if it is never reached."""
    for n in REPORTED_CLICKS:
        if n <= len(ious):
            yield Record(*cell, protocol, f"IoU@{n}", ious[n - 1])
    for target in TARGET_IOUS:
        reached = [i for i, iou in enumerate(ious, start=1) if iou >= target]
        yield Record(*cell, protocol, f"NoC{100 * target:.0f}", float(reached[0] if reached else len(ious)))
        yield Record(*cell, protocol, f"failed {100 * target:.0f}", float(not reached))
