"""Candidates by words, such as "nuclei larger than 10 µm", as the page "Find" shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import PromptError
from napari_sam.layers.find.search import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.concept import Concept
    from napari_sam.engine.concepts.candidates import Candidates
    from napari_sam.engine.concepts.concept_model import ConceptModel
    from napari_sam.predictor import Predictor
    from napari_sam.text.text_search import TextObjects, TextSearch
    from napari_sam.widgets.find.wanted import Wanted


class WordSearch:
    """Finds what words describe, and keeps the open-vocabulary model that was loaded last."""

    def __init__(self) -> None:
        self._search: TextSearch | None = None
        self._detector = ""

    def find(
        self,
        wanted: Wanted,
        predictor: Predictor,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Found:
        """Return the candidates of a region, with their scores by the words.

        Raises
        ------
        PromptError
            If the words cannot be read, or neither a concept nor an open-vocabulary model knows them.
        ModelError
            If that model cannot be loaded.
        CancelledError
            If `cancelled()` returned True.
        """
        objects = self._text_search(wanted.detector).find(
            wanted.words, predictor, wanted.region, progress=progress, cancelled=cancelled
        )
        candidates = objects.candidates
        if candidates is None:
            candidates = measured(objects, predictor, cancelled)
        concept = None if objects.plan.concept is None else as_concept(objects.plan.concept)
        return Found(
            candidates,
            wanted.region,
            wanted.place,
            concept,
            objects.scores,
            objects.threshold,
            "" if not objects.plan.query.words else objects.plan.name,
        )

    def _text_search(self, detector: str) -> TextSearch:
        from napari_sam.text.text_search import TextSearch  # noqa: PLC0415 - only words need it

        if self._search is None or self._detector != detector:
            self._search, self._detector = TextSearch(detector=detector or None), detector
        return self._search


def measured(objects: TextObjects, predictor: Predictor, cancelled: Callable[[], bool]) -> Candidates:
    """Return the objects of an open-vocabulary model as candidates, with the features of our model.

    Raises
    ------
    PromptError
        If there are none.
    """
    from napari_sam.engine.concepts.example_features import measure_examples  # noqa: PLC0415 - imports torch

    if not len(objects):
        raise PromptError(
            f"nothing there fits {objects.plan.query.text!r}", remedy="mark an example, or look elsewhere"
        )
    masks = [(mask, Box(*box)) for mask, box in zip(objects.masks, objects.boxes.tolist(), strict=True)]
    features, around = measure_examples(predictor, masks, cancelled=cancelled)
    return replace(
        around,
        boxes=objects.boxes,
        masks=objects.masks,
        predicted_iou=objects.predicted_iou,
        stability_score=np.ones(len(masks), np.float32),
        features=features,
        factor=1,
    )


def as_concept(model: ConceptModel) -> Concept:
    """Return a concept of the vocabulary as one that can be saved."""
    from napari_sam.concept import Concept  # noqa: PLC0415 - imports torch

    if isinstance(model, Concept):
        return model
    concept = Concept(model.layout, model.name)
    concept.__dict__.update(model.__dict__)
    return concept
