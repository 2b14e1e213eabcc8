"""What the page "Find" asks of the engine, in jobs for a background thread."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.io.labels.editing.commit_many import NewObject
from napari_sam.layers.find.search import Example, Found, rank
from napari_sam.widgets.find.word_search import WordSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.layers.find.search import Choices, Place, Ranking
    from napari_sam.predictor import Predictor
    from napari_sam.widgets.find.wanted import Wanted

    IsCancelled = Callable[[], bool]

_COVERED = 0.5  # share of saved objects from which a result is one of them


class FindEngine(Protocol):
    """Measures examples and finds candidates."""

    def measure(
        self, image: Image, predictor: Predictor, examples: Sequence[Example], cancelled: IsCancelled
    ) -> list[Example]:
        """Return examples of one image with their features."""
        ...

    def find(
        self, wanted: Wanted, predictor: Predictor, progress: Callable[[int, int], None], cancelled: IsCancelled
    ) -> Found:
        """Return the candidates of a region."""
        ...


class ConceptEngine:
    """The engine of `napari_sam.engine.concepts`, and of `napari_sam.text` for words."""

    def __init__(self) -> None:
        self._words = WordSearch()

    def measure(
        self, image: Image, predictor: Predictor, examples: Sequence[Example], cancelled: IsCancelled
    ) -> list[Example]:
        """Return examples of one image with their features."""
        from napari_sam.engine.concepts.example_features import measure_examples  # noqa: PLC0415 - imports torch
        from napari_sam.image_predictor import predictor_for_image  # noqa: PLC0415

        own = predictor_for_image(predictor, image)
        masks = [(example.mask, example.box) for example in examples]
        features, around = measure_examples(own, masks, cancelled=cancelled)
        return [
            replace(example, features=row, layout=around.layout)
            for example, row in zip(examples, features, strict=True)
        ]

    def find(
        self, wanted: Wanted, predictor: Predictor, progress: Callable[[int, int], None], cancelled: IsCancelled
    ) -> Found:
        """Return the candidates of a region."""
        from napari_sam.engine.concepts.candidate_finder import find_candidates  # noqa: PLC0415 - imports torch
        from napari_sam.image_predictor import predictor_for_image  # noqa: PLC0415

        own = predictor_for_image(predictor, wanted.image)
        if wanted.words:
            return self._words.find(wanted, own, progress, cancelled)
        candidates = find_candidates(
            own, wanted.region, diameter_px=diameter_of(wanted), progress=progress, cancelled=cancelled
        )
        return Found(candidates, wanted.region, wanted.place)


@dataclass(frozen=True)
class Searched:
    """Result of a search: examples that were measured, the candidates and their ranking."""

    measured: list[Example]
    found: Found
    ranking: Ranking


def diameter_of(wanted: Wanted) -> float | None:
    """Return the median diameter of the accepted examples, else that of the concept; level-0 pixels."""
    from napari_sam.engine.concepts.example_features import example_diameter  # noqa: PLC0415 - imports torch

    masks = [(example.mask, example.box) for example in wanted.choices.examples if example.accepted]
    if masks:
        return example_diameter(masks)
    return None if wanted.loaded is None else wanted.loaded.diameter_px


def measure_new(
    engine: FindEngine, wanted: Wanted, predictor: Predictor, cancelled: IsCancelled
) -> tuple[Choices, list[Example]]:
    """Measure the examples that have no features yet; return the choices with them, and those examples."""
    new = [e for e in wanted.choices.examples if e.features is None and e.place == wanted.place]
    if not new:
        return wanted.choices, []
    measured = engine.measure(wanted.image, predictor, new, cancelled)
    by_mask = {id(e.mask): e for e in measured}
    examples = tuple(by_mask.get(id(e.mask), e) for e in wanted.choices.examples)
    return replace(wanted.choices, examples=examples), measured


def search(
    engine: FindEngine,
    wanted: Wanted,
    predictor: Predictor,
    progress: Callable[[int, int], None],
    cancelled: IsCancelled,
) -> Searched:
    """Find the candidates of a region, and rank them."""
    choices, measured = measure_new(engine, wanted, predictor, cancelled)
    found = engine.find(wanted, predictor, progress, cancelled)
    importlib.import_module("sklearn.linear_model")  # slow; the first counter-example must not wait for it
    return Searched(measured, found, rank(found, choices, wanted.loaded, wanted.name))


def rank_again(
    engine: FindEngine,
    wanted: Wanted,
    predictor: Predictor,
    found: Found,
    previous: Ranking | None,
    cancelled: IsCancelled,
) -> Searched:
    """Rank the candidates that were found by what the user said since."""
    choices, measured = measure_new(engine, wanted, predictor, cancelled)
    return Searched(measured, found, rank(found, choices, wanted.loaded, wanted.name, previous))


@dataclass(frozen=True)
class Saved:
    """What became of results: ids of the new objects, and the number of those that were saved before."""

    labels: list[int]
    known: int


def save_results(
    store: LabelStore,
    ranking: Ranking,
    chosen: Sequence[int],
    overlap: str,
    plane: tuple[int, ...],
    category: str | None,
) -> Saved:
    """Write results into a store as one change, the surest first.

    Parameters
    ----------
    store : LabelStore
        Receives the objects.
    ranking : Ranking
        The candidates.
    chosen : sequence of int
        Which of them.
    overlap : {"keep", "replace"}
        As in `LabelStore.commit_many`; with "keep", results that lie on saved objects by half are left out.
    plane : tuple of int
        Plane of a stack.
    category : str, optional
        Class of the objects.
    """
    candidates = ranking.candidates
    objects, known = [], 0
    for index in sorted(chosen, key=lambda i: -float(ranking.scores[i])):
        new = _new_object(ranking, index, store.shape[-2:], category)
        if new is None:
            continue
        under = store.read(new.bbox, plane=plane)[new.mask]
        if overlap == "keep" and np.count_nonzero(under) >= _COVERED * len(under):
            known += 1
        else:
            objects.append(new)
    positive, negative = (0, 0) if ranking.concept is None else ranking.concept.examples
    source = {
        "kind": "concept",
        "concept": None if ranking.concept is None else ranking.concept.name,
        "model": candidates.layout.model,
        "examples": [positive, negative],
    }
    labels = store.commit_many(objects, overlap, plane=plane, source=source) if objects else []
    return Saved([label for label in labels if label > 0], known)


def _new_object(ranking: Ranking, index: int, shape: tuple[int, ...], category: str | None) -> NewObject | None:
    """Return a candidate as a new object, cut at the border of the image; None if nothing is left of it."""
    candidates = ranking.candidates
    mask = candidates.masks[index]
    if candidates.factor > 1:
        mask = np.kron(mask, np.ones((candidates.factor,) * 2, bool))
    y0, x0 = candidates.boxes[index, :2].tolist()
    whole = Box(y0, x0, y0 + mask.shape[0], x0 + mask.shape[1])
    box = whole.clip((shape[-2], shape[-1]))
    if box.is_empty or not mask[box.slices_in(whole)].any():
        return None
    record = {
        "category": category,
        "predicted_iou": float(ranking.scores[index]),
        "stability_score": float(candidates.stability_score[index]),
        "model": candidates.layout.model,
    }
    return NewObject(mask[box.slices_in(whole)], box, record)


def mark_object(
    image: Image, predictor: Predictor, point: tuple[int, int], place: Place, accepted: bool, cancelled: IsCancelled
) -> Example:
    """Return what the model sees at a point (y, x) as an example."""
    from napari_sam.image_predictor import predictor_for_image  # noqa: PLC0415 - imports torch

    own = predictor_for_image(predictor, image)
    prompt = {"points": np.array([point], dtype=float), "point_labels": np.array([1])}
    (prediction,) = own.predict_many([prompt], cancelled=cancelled)
    return Example(prediction.mask, Box(*prediction.bbox), accepted, place)
