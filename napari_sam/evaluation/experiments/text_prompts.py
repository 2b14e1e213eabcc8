"""Masks from text: the protocol and the data, ready for a model that takes text.

The paper shows text prompts by examples only. Here each phrase is asked for alone and, where that is not enough (IoU
below 0.5), with a click where the mask is wrong, as the paper's figure does; both mean IoUs are reported.
"""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.coco_format import find_coco_samples
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates
from napari_sam.evaluation.experiments.simulated_clicks import crop_iou, next_click
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.predictor import Predictor

_ENOUGH = 0.5


@dataclass(frozen=True)
class LabelledPhrase:
    """Words and the object they mean."""

    text: str
    label: int


def text_samples(path: Path) -> tuple[list[Sample], dict[str, list[LabelledPhrase]]]:
    """Images with phrases: a COCO instances file whose annotations have ``"phrases": ["a dividing cell", ...]``.

    Where no annotation has phrases, the category's name is the phrase of each category that has one object only in
    its image.

    Parameters
    ----------
    path : Path
        The JSON file.

    Returns
    -------
    samples : list of Sample
        The images.
    phrases : dict of str to list of Phrase
        By the sample's name.

    Raises
    ------
    EvaluationError
        If a phrase is no text, or there is none.
    """
    samples = find_coco_samples(path)
    raw = json.loads(path.read_text(encoding="utf-8"))
    rows = raw["annotations"].values() if isinstance(raw["annotations"], dict) else raw["annotations"]
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row.get("image_id"), []).append(row)
    given = any("phrases" in row for row in rows)
    out: dict[str, list[LabelledPhrase]] = {}
    for sample in samples:
        some = by_image.get(sample.number, [])
        phrases = [
            LabelledPhrase(_checked(text, path), at)
            for at, row in enumerate(some, start=1)
            for text in row.get("phrases", [])
        ]
        out[sample.name] = phrases if given else _of_categories(sample.truth())
    if not any(out.values()):
        raise EvaluationError(f"{path}: no annotation has 'phrases', and no category stands for one object; add some")
    return samples, out


def _checked(text: Any, path: Path) -> str:
    if not isinstance(text, str) or not text.strip():
        raise EvaluationError(f"{path}: the phrase {text!r} is no text; give words such as 'a dividing cell'")
    return text.strip()


def _of_categories(truth: GroundTruth) -> list[LabelledPhrase]:
    names = [one.category for one in truth.scored_objects]
    return [
        LabelledPhrase(o.category, o.label) for o in truth.scored_objects if o.category and names.count(o.category) == 1
    ]


def refuse_without_text(predictor: Predictor) -> None:
    """Refuse a model that takes no text.

    Raises
    ------
    EvaluationError
        If it does not.
    """
    if "text" not in inspect.signature(predictor.predict).parameters:
        raise EvaluationError(
            f"model {predictor.model!r} takes no text prompts, and none of our models does yet; evaluate points, boxes "
            "or everything instead"
        )


@dataclass(frozen=True)
class TextExperiment(Experiment):
    """Mean IoU of masks from phrases, alone and with a click.

    Attributes
    ----------
    phrases : dict
        By the sample's name, as `text_samples` gives them.
    max_images : int or None
        Images, evenly spread; None for all.
    """

    name: ClassVar[str] = "text"
    title: ClassVar[str] = "Masks from text"
    phrases: dict[str, list[LabelledPhrase]] = field(default_factory=dict)
    max_images: int | None = setting(None, "images per data set, evenly spaced", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"phrases": {name: [[p.text, p.label] for p in some] for name, some in self.phrases.items()}}

    def for_sample(self, sample: Sample) -> TextExperiment:  # noqa: D102 - as in Experiment
        return replace(self, phrases={sample.name: self.phrases.get(sample.name, [])})

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        if predictor is None:
            raise TypeError("needs a predictor")
        refuse_without_text(predictor)
        predict: Any = predictor.predict
        predictor.set_image(sample.source())
        objects = {one.label: one for one in sample.truth(predictor.image.shape).objects}
        out: Payload = {"labels": [], "text": [], "text + 1 point": [], "phrases": []}
        for phrase in self.phrases.get(sample.name, []):
            one = objects.get(phrase.label)
            if one is None:
                continue
            p = predict(text=phrase.text)
            alone = helped = crop_iou(p.mask, p.bbox[:2], one.mask, one.origin)
            if alone < _ENOUGH:
                y, x, label = next_click(p.mask, p.bbox[:2], one.mask, one.origin)
                p = predict(text=phrase.text, points=[(y, x)], point_labels=[label])
                helped = crop_iou(p.mask, p.bbox[:2], one.mask, one.origin)
            for key, value in zip(out, (one.label, alone, helped, phrase.text), strict=True):
                out[key].append(value)
        return out

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for unit in units:
            for how in ("text", "text + 1 point"):
                for label, iou in zip(unit.payload["labels"], unit.payload[how], strict=True):
                    yield Record(unit.dataset, unit.sample, label, method, how, "IoU", iou)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        found = mean_estimates(self.records(units, method), seed)
        if not found or all(math.isnan(one.value) for one in found):
            raise EvaluationError(f"text: no phrase with an object in {len(units)} images")
        return found
