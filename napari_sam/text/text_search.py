"""Find the objects that a phrase describes: by a concept of the vocabulary, or by an open-vocabulary detector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.automatic.dense_maps import check_region
from napari_sam.engine.concepts.candidate_finder import find_candidates
from napari_sam.engine.geometry import Box
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window
from napari_sam.errors import PromptError
from napari_sam.text.detectors.load_detector import SUPPORTED, load_detector, load_ranker
from napari_sam.text.text_filter import PixelSize, kept_by
from napari_sam.text.text_query import parse_text
from napari_sam.text.tiled_detection import DetectionSettings, detect_in_region
from napari_sam.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from napari_sam.engine.concepts.candidates import Candidates
    from napari_sam.engine.concepts.concept_model import ConceptModel
    from napari_sam.engine.embeddings.embedder import Embedder
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.text.text_detector import MaskRanker, TextDetector
    from napari_sam.text.text_query import TextQuery

    Progress = Callable[[int, int], None]
    Cancelled = Callable[[], bool]

RANKER_THRESHOLD = 0.5
"""Score of a ranker from which a mask fits: better than the contrary."""

_CROP_MARGIN = 0.25  # of a box's long side, around the crop that is ranked
_CROP_PX = 224


class SearchPredictor(Protocol):
    """The part of a predictor that a search needs."""

    @property
    def embedder(self) -> Embedder:
        """The network, looking at the image."""
        ...

    def predict_many(
        self,
        prompts: Sequence[Mapping[str, Any]],
        multimask: bool = True,
        *,
        cancelled: Cancelled | None = None,
    ) -> list[Prediction]:
        """Segment many objects."""
        ...


@dataclass(frozen=True)
class TextPlan:
    """How a phrase will be answered.

    Attributes
    ----------
    query : TextQuery
        What it asks for.
    name : str
        Name for the objects, such as "nucleus": that of the vocabulary, or the words themselves.
    concept : ConceptModel or None
        The concept that finds them.
    detector : TextDetector or None
        The open-vocabulary model that finds them, if no concept does. Without either, objects of any kind are meant.
    """

    query: TextQuery
    name: str
    concept: ConceptModel | None = None
    detector: TextDetector | None = None

    @property
    def source(self) -> str:
        """What answers the phrase, for people."""
        if self.concept is not None:
            return f"the concept {self.name!r}"
        return "everything" if self.detector is None else self.detector.name


@dataclass(frozen=True)
class TextObjects:
    """Objects that may fit a phrase, by descending score.

    Attributes
    ----------
    plan : TextPlan
        How they were found.
    boxes : ndarray of int64
        (n, 4) as (y0, x0, y1, x1), level-0 pixels, half-open.
    masks : tuple of ndarray of bool
        The pixels of each box.
    scores : ndarray of float32
        (n,) from 0 to 1.
    predicted_iou : ndarray of float32
        (n,) quality of the masks.
    threshold : float
        Score from which an object fits.
    candidates : Candidates or None
        The same objects with their features, in the same order, for ranking them anew; None from a detector.
    """

    plan: TextPlan
    boxes: NDArray[np.int64]
    masks: tuple[NDArray[np.bool_], ...]
    scores: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]
    threshold: float
    candidates: Candidates | None = None

    def __len__(self) -> int:
        """Return the number of objects, with those below the threshold."""
        return len(self.masks)

    def subset(self, chosen: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> TextObjects:
        """Return some of the objects, by index or by a mask (n,) of bool."""
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return replace(
            self,
            boxes=self.boxes[index],
            masks=tuple(self.masks[i] for i in index),
            scores=self.scores[index],
            predicted_iou=self.predicted_iou[index],
            candidates=None if self.candidates is None else self.candidates.subset(index),
        )

    @property
    def fitting(self) -> TextObjects:
        """The objects from the threshold on."""
        return self.subset(self.scores >= self.threshold)


class TextSearch:
    """Answers phrases on the images of a predictor.

    Parameters
    ----------
    vocabulary : Vocabulary, optional
        Names that stand for concepts; by default those shipped with the model and those in the user's folder.
    detector : TextDetector, str or Path, optional
        Open-vocabulary model for other words: a folder of OWLv2, Grounding DINO, CLIPSeg or SAM 3, or a name in the
        Hub's cache. Loaded when a word needs it.
    ranker : MaskRanker, str or Path, optional
        CLIP model that scores the masks of the detector's boxes; by default the detector's own scores are kept.
    settings : DetectionSettings, optional
        Scales and limits of the detector.

    Examples
    --------
    >>> search = TextSearch()
    >>> objects = search.find("nuclei larger than 10 px", predictor)    # doctest: +SKIP
    """

    def __init__(
        self,
        vocabulary: Vocabulary | None = None,
        detector: TextDetector | str | Path | None = None,
        ranker: MaskRanker | str | Path | None = None,
        settings: DetectionSettings | None = None,
    ) -> None:
        self.vocabulary = Vocabulary.default() if vocabulary is None else vocabulary
        self.detector, self.ranker = detector, ranker
        self.settings = settings or DetectionSettings()

    def plan(self, text: str) -> TextPlan:
        """Decide how a phrase will be answered; reads no image.

        Parameters
        ----------
        text : str
            Such as "nuclei", "cells touching the border", "larger than 50 µm".

        Raises
        ------
        PromptError
            If the phrase cannot be read, or names something that is neither in the vocabulary nor left to a detector.
        ModelError
            If the detector cannot be loaded.
        ConceptError
            If the file of the concept cannot be read.
        """
        query = parse_text(text)
        if not query.words:
            return TextPlan(query, "object")
        word = self.vocabulary.find(query.words)
        if word is not None:
            return TextPlan(query, word.name, concept=word.concept)
        if self.detector is None:
            raise PromptError(self._unknown(query.words), parameter="text", remedy=self._remedy(query.words))
        return TextPlan(query, query.words, detector=self._loaded_detector())

    def find(
        self,
        text: str,
        predictor: SearchPredictor,
        region: tuple[int, int, int, int] | None = None,
        *,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> TextObjects:
        """Find the objects of a region that fits into memory.

        Parameters
        ----------
        text : str
            The phrase.
        predictor : Predictor
            A predictor with an image.
        region : (int, int, int, int), optional
            (y0, x0, y1, x1), level-0 pixels; the whole image by default.
        progress : callable, optional
            Called with the number of parts done and of all parts.
        cancelled : callable, optional
            Called between the parts; return True to stop.

        Returns
        -------
        TextObjects
            By descending score; those that do not meet the phrase's conditions are left out.

        Raises
        ------
        PromptError, ModelError, ConceptError
            As in `plan`; also if a size cannot be compared with the image's pixels, or the region is too large.
        CancelledError
            If `cancelled()` returned True.
        """
        plan = self.plan(text)
        image = predictor.embedder.image
        pixel = PixelSize.of_image(image)
        plan.query.where(pixel)  # fails before anything is computed
        box = check_region(region, image.shape)
        if plan.detector is None:
            found = _by_concept(plan, predictor, box, progress, cancelled)
        else:
            found = self._by_detector(plan, plan.detector, predictor, box, progress, cancelled)
        areas = np.array([mask.sum() for mask in found.masks], np.float64)
        if found.candidates is not None:
            areas *= found.candidates.factor**2
        kept = found.subset(kept_by(plan.query.filters, found.boxes, areas, pixel))
        return kept.subset(np.argsort(-kept.scores, kind="stable"))

    def _by_detector(
        self,
        plan: TextPlan,
        detector: TextDetector,
        predictor: SearchPredictor,
        region: Box,
        progress: Progress | None,
        cancelled: Cancelled | None,
    ) -> TextObjects:
        """Return the masks that the predictor gives for the detector's boxes."""
        embedder = predictor.embedder
        found = detect_in_region(
            detector, plan.query.words, embedder, region, self.settings, progress=progress, cancelled=cancelled
        )
        prompts = [{"box": box.tolist()} for box in found.boxes]
        predictions = predictor.predict_many(prompts, multimask=False, cancelled=cancelled) if prompts else []
        visible = [i for i, p in enumerate(predictions) if p.mask.any()]
        boxes = np.array([predictions[i].bbox for i in visible], np.int64).reshape(-1, 4)
        scores, threshold = self.ranked(detector, embedder, boxes, found.scores[visible], plan.query.words)
        quality = [float(predictions[i].predicted_iou[predictions[i].best]) for i in visible]
        masks = tuple(predictions[i].mask for i in visible)
        return TextObjects(plan, boxes, masks, scores, np.array(quality, np.float32), threshold)

    def ranked(
        self,
        detector: TextDetector,
        embedder: Embedder,
        boxes: NDArray[np.int64],
        scores: NDArray[np.float32],
        words: str,
    ) -> tuple[NDArray[np.float32], float]:
        """Return the scores of masks, and the one from which they fit: the ranker's, or the detector's without one.

        Parameters
        ----------
        detector : TextDetector
            The detector.
        embedder : Embedder
            Looks at the image.
        boxes : ndarray of int
            (n, 4) of the masks, level-0 pixels.
        scores : ndarray of float
            (n,) of the detector.
        words : str
            The phrase.
        """
        if self.ranker is None:
            return scores, detector.threshold
        crops = [_crop(embedder, Box(*box)) for box in boxes.tolist()]
        return self._loaded_ranker().rank(crops, words), RANKER_THRESHOLD

    def _loaded_detector(self) -> TextDetector:
        if isinstance(self.detector, str) or hasattr(self.detector, "joinpath"):
            self.detector = load_detector(self.detector)  # type: ignore[arg-type]
        return self.detector  # type: ignore[return-value]

    def _loaded_ranker(self) -> MaskRanker:
        if isinstance(self.ranker, str) or hasattr(self.ranker, "joinpath"):
            self.ranker = load_ranker(self.ranker)  # type: ignore[arg-type]
        return self.ranker  # type: ignore[return-value]

    def _unknown(self, words: str) -> str:
        names = ", ".join(self.vocabulary.names[:20]) or "no word yet"
        return f"text: {words!r} is not in the vocabulary ({names})"

    def _remedy(self, words: str) -> str:
        similar = self.vocabulary.similar(words)
        meant = f"did you mean {similar[0]!r}? Else " if similar else ""
        return f"{meant}learn a concept from an example, or give a model for any words ({SUPPORTED}) as {{detector}}"


def _by_concept(
    plan: TextPlan, predictor: SearchPredictor, region: Box, progress: Progress | None, cancelled: Cancelled | None
) -> TextObjects:
    """Return the candidates of everything-mode with their scores by the concept; all alike without one."""
    diameter = None if plan.concept is None else plan.concept.diameter_px
    candidates = find_candidates(predictor, region, diameter_px=diameter, progress=progress, cancelled=cancelled)
    scores, threshold = np.ones(len(candidates), np.float32), 0.5
    if plan.concept is not None:
        scores = np.asarray(plan.concept.score(candidates.features, candidates.layout), np.float32)
        threshold = float(plan.concept.threshold)
    quality = candidates.predicted_iou
    return TextObjects(plan, candidates.boxes, candidates.masks, scores, quality, threshold, candidates)


def _crop(embedder: Embedder, box: Box) -> NDArray[np.uint8]:
    """Return the picture (h, w, 3) of a box with a margin, at most `_CROP_PX` pixels a side."""
    margin = round(_CROP_MARGIN * max(box.shape))
    grown = Box(box.y0 - margin, box.x0 - margin, box.y1 + margin, box.x1 + margin)
    inside = grown.intersection((0, 0, *embedder.image.shape))
    return read_window(embedder.image, embedder.normalisation, Window(inside, _CROP_PX))
