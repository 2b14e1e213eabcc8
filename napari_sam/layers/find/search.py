"""A search for objects like the examples: what the user said, and the candidates ranked by it."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import ConceptError
from napari_sam.layers.find.outline_pixels import OutlinePixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.concept import Concept
    from napari_sam.engine.concepts.candidates import Candidates
    from napari_sam.engine.concepts.feature_layout import FeatureLayout
    from napari_sam.engine.concepts.overlaps import Overlaps

Place = Hashable
"""The image and plane that an example lies on."""


@dataclass(frozen=True, eq=False)
class Example:
    """An object that the user marked.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w).
    box : Box
        Its box, level-0 pixels.
    accepted : bool
        Whether it is of the kind.
    place : hashable
        The image and plane that it lies on.
    features : ndarray of float32 or None
        (d,); None until they are measured.
    layout : FeatureLayout or None
        What the features mean.
    """

    mask: NDArray[np.bool_]
    box: Box
    accepted: bool
    place: Place
    features: NDArray[np.float32] | None = None
    layout: FeatureLayout | None = None


@dataclass(frozen=True)
class Choices:
    """What the user said: the examples, and the verdicts on candidates that were found, by index."""

    examples: tuple[Example, ...] = ()
    verdicts: Mapping[int, bool] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, int]:
        """Number of accepted and of rejected objects."""
        said = [*(example.accepted for example in self.examples), *self.verdicts.values()]
        return sum(said), len(said) - sum(said)


@dataclass(frozen=True, eq=False)
class Found:
    """Candidates of a region, whatever their kind.

    Attributes
    ----------
    candidates : Candidates
        What the network found.
    region : Box
        Where, level-0 pixels.
    place : hashable
        The image and plane.
    concept : Concept or None
        Concept that words stand for, if they were looked for.
    scores : ndarray of float32 or None
        (n,) scores by words, used while nothing is accepted.
    threshold : float
        Score from which those count.
    name : str
        What the words mean; empty without words.
    """

    candidates: Candidates
    region: Box
    place: Place
    concept: Concept | None = None
    scores: NDArray[np.float32] | None = None
    threshold: float = 0.5
    name: str = ""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Candidates with scores.

    Attributes
    ----------
    concept : Concept or None
        What was learned; None if only words gave the scores.
    threshold : float
        Score from which candidates count as found, unless the user chooses another.
    candidates : Candidates
        The found ones, and after them accepted examples that none of them shows.
    extras : tuple of Example
        Those examples.
    scores : ndarray of float32
        (n,) from 0 to 1.
    overlaps : Overlaps
        Which candidates stand for the same object.
    pixels : OutlinePixels
        Their outlines.
    """

    concept: Concept | None
    threshold: float
    candidates: Candidates
    extras: tuple[Example, ...]
    scores: NDArray[np.float32]
    overlaps: Overlaps
    pixels: OutlinePixels


class Search:
    """The state of the page "Find".

    Attributes
    ----------
    choices : Choices
        What the user said.
    loaded : Concept or None
        Concept of a file, to which the choices are added.
    found : Found or None
        Candidates of the last search.
    ranking : Ranking or None
        The same, ranked.
    concept : Concept or None
        What was learned last, or loaded.
    threshold : float
        Least score of a result.
    """

    def __init__(self) -> None:
        self.choices = Choices()
        self.loaded: Concept | None = None
        self.found: Found | None = None
        self.ranking: Ranking | None = None
        self.concept: Concept | None = None
        self.threshold = 0.5
        self._done: list[Choices] = []
        self._undone: list[Choices] = []

    @property
    def has_examples(self) -> bool:
        """Whether there is something to look for."""
        return self.loaded is not None or self.choices.counts[0] > 0

    @property
    def can_undo(self) -> bool:
        """Whether there is a choice to take back."""
        return bool(self._done)

    # ---- the user's choices --------------------------------------------------------------------------------

    def add_examples(self, examples: Iterable[Example]) -> None:
        """Mark objects as examples, or counter-examples."""
        self._choose(replace(self.choices, examples=(*self.choices.examples, *examples)))

    def example_at(self, place: Place, y: float, x: float) -> Example | None:
        """Return the example under a position; None if there is none."""
        row, col = round(y), round(x)
        for example in reversed(self.choices.examples):
            y0, x0, y1, x1 = example.box
            is_in = example.place == place and y0 <= row < y1 and x0 <= col < x1
            if is_in and example.mask[row - y0, col - x0]:
                return example
        return None

    def turn(self, example: Example, accepted: bool) -> None:
        """Make an example one of the other sort; remove one that is of this sort already."""
        rest = [e for e in self.choices.examples if e is not example]
        turned = [] if example.accepted == accepted else [replace(example, accepted=accepted)]
        self._choose(replace(self.choices, examples=(*rest, *turned)))

    def decide(self, indices: Iterable[int], accepted: bool) -> None:
        """Accept or reject candidates of the ranking; an example among them that is rejected is a counter-example."""
        ranking = self.ranking
        if ranking is None:
            return
        count, chosen = len(ranking.candidates) - len(ranking.extras), list(indices)
        verdicts = {**self.choices.verdicts, **{i: accepted for i in chosen if i < count}}
        turned = [ranking.extras[i - count] for i in chosen if i >= count]
        examples = tuple(replace(e, accepted=accepted) if e in turned else e for e in self.choices.examples)
        self._choose(Choices(examples, verdicts))

    def load(self, concept: Concept) -> None:
        """Look for objects of a concept; what the user says is added to it."""
        self.loaded = self.concept = concept

    def take(self, found: Found, ranking: Ranking) -> None:
        """Show these candidates and scores."""
        self.found, self.ranking = found, ranking
        self.concept = ranking.concept or self.concept

    def undo(self) -> bool:
        """Take the last choice back; return False without one."""
        if not self._done:
            return False
        self._undone.append(self.choices)
        self.choices = self._done.pop()
        return True

    def redo(self) -> bool:
        """Make the choice again that was taken back; return False without one."""
        if not self._undone:
            return False
        self._done.append(self.choices)
        self.choices = self._undone.pop()
        return True

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def drop_results(self) -> None:
        """Forget the candidates; those with a verdict become examples, so that nothing learned is lost."""
        found, ranking = self.found, self.ranking
        if found is not None and ranking is not None and self.choices.verdicts:
            kept = [_example_of(found, index, accepted) for index, accepted in self.choices.verdicts.items()]
            self.choices = Choices((*self.choices.examples, *kept))
        self.found = self.ranking = None
        self.choices = Choices(self.choices.examples)
        self._done, self._undone = [], []

    def measured(self, examples: Sequence[Example]) -> None:
        """Take over the features of examples, which another thread measured, for all that are still in use."""
        known = {(id(e.mask), e.place): e for e in examples}

        def with_features(choices: Choices) -> Choices:
            found = (known.get((id(e.mask), e.place), e) for e in choices.examples)
            updated = (
                replace(e, features=m.features, layout=m.layout) for e, m in zip(choices.examples, found, strict=True)
            )
            return replace(choices, examples=tuple(updated))

        self.choices = with_features(self.choices)
        self._done = [with_features(choices) for choices in self._done]
        self._undone = [with_features(choices) for choices in self._undone]

    def _choose(self, choices: Choices) -> None:
        self._done.append(self.choices)
        self._undone.clear()
        self.choices = choices

    # ---- results ------------------------------------------------------------------------------------------

    def verdicts(self) -> NDArray[np.int8]:
        """Return 1 for accepted candidates of the ranking, -1 for rejected ones, else 0; (n,)."""
        ranking = self.ranking
        if ranking is None:
            return np.zeros(0, np.int8)
        out = np.zeros(len(ranking.candidates), np.int8)
        count = len(out) - len(ranking.extras)
        for index, accepted in self.choices.verdicts.items():
            out[index] = 1 if accepted else -1
        for index, extra in enumerate(ranking.extras, start=count):
            now = next((e for e in self.choices.examples if e.mask is extra.mask), None)
            out[index] = -1 if now is None or not now.accepted else 1
        return out

    def alternatives(self) -> NDArray[np.bool_]:
        """Return the candidates (n,) that stand for their object: the accepted, else the best of those that overlap."""
        ranking = self.ranking
        if ranking is None:
            return np.zeros(0, bool)
        return ranking.overlaps.best(ranking.scores + 2.0 * self.verdicts())

    def results(self) -> NDArray[np.bool_]:
        """Return the candidates (n,) that count as found: accepted, or above the threshold and not rejected."""
        ranking, verdicts = self.ranking, self.verdicts()
        if ranking is None:
            return np.zeros(0, bool)
        above = (ranking.scores >= self.threshold) & (verdicts == 0)
        results: NDArray[np.bool_] = self.alternatives() & ((verdicts > 0) | above)
        return results

    def candidate_at(self, y: float, x: float) -> int | None:
        """Return the smallest result under a position, else the best candidate there; None if there is none."""
        ranking = self.ranking
        if ranking is None:
            return None
        boxes, masks = ranking.candidates.boxes, ranking.candidates.masks
        row, col = round(y), round(x)
        inside = (boxes[:, :2] <= (row, col)).all(axis=1) & (boxes[:, 2:] > (row, col)).all(axis=1)
        factor = ranking.candidates.factor
        hit = [
            i
            for i in np.flatnonzero(inside).tolist()
            if masks[i][(row - boxes[i, 0]) // factor, (col - boxes[i, 1]) // factor]
        ]
        shown = self.results() | (self.verdicts() < 0)
        visible = [i for i in hit if shown[i]]
        if visible:
            return min(visible, key=lambda i: np.count_nonzero(masks[i]))
        return max(hit, key=lambda i: ranking.scores[i], default=None)

    def results_inside(self, corners: NDArray[np.float64]) -> list[int]:
        """Return the results, and the rejected, whose middle lies inside a polygon (m, 2) of (y, x)."""
        from skimage.measure import points_in_poly  # noqa: PLC0415 - slow to import

        ranking = self.ranking
        if ranking is None or len(corners) < 3:
            return []
        boxes = ranking.candidates.boxes
        middles = (boxes[:, :2] + boxes[:, 2:] - 1) / 2
        shown = np.flatnonzero(self.results() | (self.verdicts() < 0))
        inside = points_in_poly(middles[shown], corners)
        chosen: list[int] = shown[inside].tolist()
        return chosen


def rank(found: Found, choices: Choices, loaded: Concept | None, name: str, previous: Ranking | None = None) -> Ranking:
    """Learn from what the user said, and score the candidates; takes about 0.1 s for 10 000 of them.

    Parameters
    ----------
    found : Found
        The candidates.
    choices : Choices
        Examples with features, and verdicts.
    loaded : Concept, optional
        Concept to which they are added.
    name : str
        Name of the concept.
    previous : Ranking, optional
        Ranking of the same candidates, whose overlaps and outlines are used again if they are the same.

    Raises
    ------
    ConceptError
        If nothing is accepted, or examples were measured with another model.
    """
    from napari_sam.engine.concepts.candidates import Candidates  # noqa: PLC0415 - imports torch
    from napari_sam.engine.concepts.overlaps import Overlaps  # noqa: PLC0415

    extras = tuple(e for e in choices.examples if _is_missing(e, found))
    candidates = found.candidates
    if extras:
        candidates = Candidates.concatenate([candidates, _candidates_of(extras, candidates)])
    if previous is not None and [e.mask for e in previous.extras] == [e.mask for e in extras]:
        overlaps, pixels = previous.overlaps, previous.pixels
    else:
        overlaps = Overlaps.of(candidates)
        pixels = OutlinePixels.of(candidates.boxes, candidates.masks, found.region, candidates.factor)
    if found.scores is not None and not choices.counts[0] and loaded is None:
        return Ranking(found.concept, found.threshold, candidates, extras, found.scores, overlaps, pixels)
    concept = learn(found.candidates, choices, loaded or found.concept, name)
    scores = concept.score(candidates.features, candidates.layout)
    return Ranking(concept, concept.threshold, candidates, extras, scores, overlaps, pixels)


def learn(candidates: Candidates, choices: Choices, loaded: Concept | None, name: str) -> Concept:
    """Return a concept of the examples and verdicts; errors as in `rank`."""
    from napari_sam.concept import Concept  # noqa: PLC0415 - imports torch

    layout = candidates.layout
    if loaded is None:
        concept = Concept(layout, name)
    else:
        loaded.layout.check_same(layout, f"concept {loaded.name!r}")
        concept = copy.deepcopy(loaded)
        concept.name = name
    concept.add_population(candidates.features)
    for example in choices.examples:
        if example.features is None:
            raise ConceptError("an example has not been measured yet", remedy="search again")
        concept.add(example.features, example.accepted, example.layout)
    for index, accepted in choices.verdicts.items():
        concept.add(candidates.features[index], accepted)
    concept.fit()
    return concept


def _example_of(found: Found, index: int, accepted: bool) -> Example:
    candidates = found.candidates
    mask = candidates.masks[index]
    if candidates.factor > 1:
        mask = np.kron(mask, np.ones((candidates.factor,) * 2, bool))
    y0, x0 = candidates.boxes[index, :2].tolist()
    box = Box(y0, x0, y0 + mask.shape[0], x0 + mask.shape[1])
    return Example(mask, box, accepted, found.place, candidates.features[index], candidates.layout)


def _is_missing(example: Example, found: Found) -> bool:
    """Whether an accepted example lies in the region and no candidate shows it."""
    if not example.accepted or example.place != found.place or not found.region.contains(example.box):
        return False
    from napari_sam.engine.concepts.candidates import Candidates  # noqa: PLC0415 - imports torch
    from napari_sam.engine.concepts.overlaps import Overlaps  # noqa: PLC0415

    y0, x0, y1, x1 = found.candidates.boxes.T
    near = (y0 < example.box.y1) & (x0 < example.box.x1) & (y1 > example.box.y0) & (x1 > example.box.x0)
    shown = _candidates_of((example,), found.candidates)
    for index in np.flatnonzero(near).tolist():
        pair = Candidates.concatenate([found.candidates.subset([index]), shown])
        if any(Overlaps.of(pair).covered_by):
            return False
    return True


def _candidates_of(examples: Sequence[Example], like: Candidates) -> Candidates:
    """Return examples as candidates, which are certain."""
    factor = like.factor
    boxes, masks = [], []
    for example in examples:
        y0, x0 = example.box.y0 // factor * factor, example.box.x0 // factor * factor
        whole = np.pad(example.mask, ((example.box.y0 - y0, 0), (example.box.x0 - x0, 0)))
        mask = whole[::factor, ::factor]
        boxes.append((y0, x0, y0 + mask.shape[0] * factor, x0 + mask.shape[1] * factor))
        masks.append(mask)
    certain = np.ones(len(masks), np.float32)
    features = np.stack([e.features for e in examples if e.features is not None])
    return replace(
        like,
        boxes=np.array(boxes, np.int64).reshape(-1, 4),
        masks=tuple(masks),
        predicted_iou=certain,
        stability_score=certain,
        features=features,
    )
