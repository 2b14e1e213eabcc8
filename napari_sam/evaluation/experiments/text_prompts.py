"""Masks from text: the protocol and the data, for models that accept text.

The paper shows text prompts by examples only. Here each phrase is a prompt of its own and, if the IoU is below 0.5, is
combined with a click where the mask is wrong, as in the paper's figure; both mean IoUs are reported.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.errors import EvaluationError, NothingFitsError, PromptError
from napari_sam.evaluation.datasets.coco_format import find_coco_samples
from napari_sam.evaluation.experiments.experiment import (
    Experiment,
    Record,
    mean_estimates,
    open_sample,
    require_predictor,
)
from napari_sam.evaluation.experiments.simulated_clicks import crop_iou, next_click
from napari_sam.text.text_search import TextSearch
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.evaluation.datasets.coco_format import CocoId, Row
    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.predictor import Predictor

_SUFFICIENT_IOU = 0.5
_PROTOCOLS = ("text", "text + 1 point")


@dataclass(frozen=True)
class LabelledPhrase:
    """A phrase and the label of the object that it describes."""

    text: str
    label: int


def find_text_samples(path: Path) -> tuple[list[Sample], dict[str, list[LabelledPhrase]]]:
    """Find the images of a COCO instances file, and the phrases that describe their objects.

    Annotations may have phrases, ``"phrases": ["a dividing cell", ...]``. If none has, the name of each category that
    has a single object in an image is its phrase.

    Parameters
    ----------
    path : Path
        The JSON file.

    Returns
    -------
    samples : list of Sample
        The images.
    phrases : dict of str to list of LabelledPhrase
        Phrases by sample name.

    Raises
    ------
    EvaluationError
        If a phrase is not text, or there is none.
    """
    samples = find_coco_samples(path)
    raw = json.loads(path.read_text(encoding="utf-8-sig"))
    rows = raw["annotations"].values() if isinstance(raw["annotations"], dict) else raw["annotations"]
    by_image: dict[CocoId | None, list[Row]] = {}
    for row in rows:
        by_image.setdefault(row.get("image_id"), []).append(row)
    has_phrases = any("phrases" in row for row in rows)
    phrases: dict[str, list[LabelledPhrase]] = {}
    for sample in samples:
        given = [
            LabelledPhrase(_check_phrase(text, path), label)
            for label, row in enumerate(by_image.get(sample.number, []), start=1)
            for text in row.get("phrases", [])
        ]
        phrases[sample.name] = given if has_phrases else _category_phrases(sample.truth())
    if not any(phrases.values()):
        raise EvaluationError(
            f"{path}: no annotation has 'phrases', and no category has a single object in an image",
            remedy="add phrases",
        )
    return samples, phrases


def _check_phrase(text: object, path: Path) -> str:
    if not isinstance(text, str) or not text.strip():
        raise EvaluationError(f"{path}: the phrase {text!r} is not text", remedy="give words such as 'a dividing cell'")
    return text.strip()


def _category_phrases(truth: GroundTruth) -> list[LabelledPhrase]:
    names = [o.category for o in truth.scored_objects]
    unique = [o for o in truth.scored_objects if o.category and names.count(o.category) == 1]
    return [LabelledPhrase(o.category, o.label) for o in unique]


def check_phrases(phrases: Mapping[str, Sequence[LabelledPhrase]], search: TextSearch) -> None:
    """Refuse phrases that the vocabulary does not know, where no detector takes them.

    Raises
    ------
    EvaluationError
        If there is one.
    """
    for text in dict.fromkeys(phrase.text for listed in phrases.values() for phrase in listed):
        try:
            search.plan(text)
        except PromptError as error:
            raise EvaluationError(
                error.message, remedy=f"{error.remedy}, or evaluate points, boxes or everything instead"
            ) from error


@dataclass(frozen=True)
class TextExperiment(Experiment):
    """Mean IoU of masks from phrases, alone and with a click.

    Attributes
    ----------
    phrases : dict
        Phrases by sample name, from `find_text_samples`.
    max_images : int or None
        Images, evenly spaced; None for all.
    detector, ranker : str or None
        Models of `TextSearch`.
    """

    name: ClassVar[str] = "text"
    title: ClassVar[str] = "Masks from text"
    phrases: dict[str, list[LabelledPhrase]] = field(default_factory=dict)
    max_images: int | None = setting(None, "images per data set, evenly spaced", low=1)
    detector: str | None = setting(None, "open-vocabulary model for words outside the vocabulary")
    ranker: str | None = setting(None, "CLIP model that ranks the detector's masks")

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        phrases = {name: [[p.text, p.label] for p in phrases] for name, phrases in self.phrases.items()}
        models = {"detector": self.detector, "ranker": self.ranker} if self.detector or self.ranker else {}
        return {"phrases": phrases, **models}

    def for_sample(self, sample: Sample) -> TextExperiment:  # noqa: D102 - as in Experiment
        return replace(self, phrases={sample.name: self.phrases.get(sample.name, [])})

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor = require_predictor(predictor)
        _, truth = open_sample(predictor, sample)
        objects = {o.label: o for o in truth.objects}
        search = TextSearch(detector=self.detector, ranker=self.ranker)
        payload: Payload = {"labels": [], "text": [], "text + 1 point": [], "phrases": []}
        for phrase in self.phrases.get(sample.name, []):
            o = objects.get(phrase.label)
            if o is None:
                continue
            p = _predicted(predictor, search, phrase.text)
            alone = helped = 0.0 if p is None else crop_iou(p.mask, p.bbox[:2], o.mask, o.origin)
            if alone < _SUFFICIENT_IOU:
                mask, corner = (np.zeros((1, 1), bool), o.origin) if p is None else (p.mask, p.bbox[:2])
                y, x, label = next_click(mask, corner, o.mask, o.origin)
                p = _predicted(predictor, search, phrase.text, points=[(y, x)], point_labels=[label])
                helped = 0.0 if p is None else crop_iou(p.mask, p.bbox[:2], o.mask, o.origin)
            for key, value in zip(payload, (o.label, alone, helped, phrase.text), strict=True):
                payload[key].append(value)
        return payload

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            for protocol in _PROTOCOLS:
                for label, iou in zip(result.payload["labels"], result.payload[protocol], strict=True):
                    yield Record(result.dataset, result.sample, label, method, protocol, "IoU", iou)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        estimates = mean_estimates(self.records(results, method), seed)
        if not estimates or all(math.isnan(estimate.value) for estimate in estimates):
            raise EvaluationError(
                f"text: no phrase with an object in {len(results)} images",
                remedy="give images whose objects have categories",
            )
        return estimates


def _predicted(predictor: Predictor, search: TextSearch, text: str, **points: Any) -> Prediction | None:
    """Return the object that fits a phrase and points; None if nothing fits."""
    try:
        return predictor.predict(text=text, detector=search, **points)
    except NothingFitsError:
        return None
