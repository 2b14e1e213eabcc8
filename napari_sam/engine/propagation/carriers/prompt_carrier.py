"""Carry objects from plane to plane by prompts: the mask of the plane before, its box and its middle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.logit_fields import LogitGrid
from napari_sam.engine.interactive.prediction import PredictionSettings
from napari_sam.engine.interactive.prompts import MaskPrompt, Prompt
from napari_sam.engine.interactive.rendering import render_masks
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.engine.propagation.carrier import CarriedMask
from napari_sam.engine.propagation.carriers.appearance import appearance_of
from napari_sam.engine.propagation.carriers.blending import blend
from napari_sam.engine.propagation.carriers.candidate_choice import CandidateChoice, expected_change, inner_point
from napari_sam.engine.propagation.carriers.expectation import Track, expect
from napari_sam.engine.propagation.carriers.plane_decoder import Candidates, Question, decode_candidates
from napari_sam.engine.propagation.carriers.shared_pixels import Claim, separate
from napari_sam.engine.propagation.plane_mask import mask_iou
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from napari_sam.engine.propagation.resumable_carrier import by_object
from napari_sam.engine.windows import Hints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.propagation.carriers.candidate_choice import KeptMask
    from napari_sam.engine.propagation.carriers.expectation import Expected
    from napari_sam.engine.propagation.plane_prompts import PlanePrompt
    from napari_sam.engine.propagation.plane_views import PlaneView


class PromptCarrier:
    """Carry objects by prompts, with any promptable model.

    The mask of the plane before is warped as its neighbourhood moves and deforms to the next plane. There its middle
    and its box prompt the network, and of all answers the one is kept that scores best and overlaps the warped mask
    most. The middle alone says nothing about the object's size: how well its answers agree with the warped mask is the
    confidence that the object is still there.

    Parameters
    ----------
    settings : PropagationSettings, optional
        When an object is followed, and when not.
    cancelled : callable, optional
        Called between the steps; return True to stop.
    along_time : bool
        Whether the planes are frames of a movie.
    """

    uses_later_prompts = False

    def __init__(
        self,
        settings: PropagationSettings | None = None,
        cancelled: Callable[[], bool] | None = None,
        *,
        along_time: bool = False,
    ) -> None:
        self._along_time = along_time
        self.settings = PropagationSettings() if settings is None else settings
        self._cancelled = cancelled
        self._tracks: dict[int, Track] = {}

    @property
    def patience(self) -> int:
        """Number of planes on end on which an object may be absent."""
        return self.settings.gap

    def prompt(self, view: PlaneView, prompts: Mapping[int, PlanePrompt]) -> dict[int, CarriedMask]:
        """As `Carrier.prompt`; prompts are answered as by a click."""
        answers: dict[int, CarriedMask] = {}
        asked = {i: prompt for i, prompt in prompts.items() if not prompt.is_answer}
        given = [prompt.as_keywords() for prompt in asked.values()]
        settings = PredictionSettings(hints=Hints())
        predictions = view.engine.predict_many(given, settings, None, self._cancelled) if given else []
        for i, prediction in zip(asked, predictions, strict=True):
            score = float(np.clip(prediction.predicted_iou[prediction.best], 0, 1))
            answers[i] = CarriedMask(prediction.mask, Box(*prediction.bbox), score)
        for i, prompt in prompts.items():
            if i not in asked and prompt.mask is not None:
                answers[i] = CarriedMask(prompt.mask.mask, Box(*prompt.mask.bbox), 1.0)
        return answers

    def begin(self, view: PlaneView, answers: Mapping[int, CarriedMask], *, reverse: bool) -> None:
        """As `Carrier.begin`."""
        for i, answer in answers.items():
            self._tracks[i] = Track.start(view, answer.mask, answer.box)

    def carry(self, view: PlaneView, objects: Sequence[int], *, reverse: bool) -> dict[int, CarriedMask]:
        """As `Carrier.carry`."""
        found: dict[int, CarriedMask] = {}
        expected: dict[int, Expected] = {}
        for i in objects:
            place = expect(self._tracks[i], view)
            if place is None:
                found[i] = absent("left the image")
            elif place.is_blank:
                found[i] = absent("the plane is blank there")
            else:
                expected[i] = place
        answers = self._answers(view, expected)
        found |= {i: absent("the network found nothing there") for i, answer in answers.items() if answer is None}
        for i, answer in _separated({i: answer for i, answer in answers.items() if answer is not None}).items():
            found[i] = self._judged(view, i, answer)
        return found

    def combine(
        self, view: PlaneView, object_: int, found: CarriedMask, earlier: CarriedMask, weight: float
    ) -> CarriedMask:
        """As `Carrier.combine`: by the signed distances of both masks."""
        mask, box = blend((earlier.mask, earlier.box), (found.mask, found.box), weight)
        agreement = mask_iou(earlier.mask, earlier.box, found.mask, found.box)
        nearer = earlier if weight >= 0.5 else found
        if agreement < self.settings.least_overlap:  # one of them has lost the object
            mask, box = nearer.mask, nearer.box
        score = (weight * earlier.score + (1 - weight) * found.score) * agreement
        return CarriedMask(mask, box, score, events=nearer.events)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """As `StatefulCarrier.state`."""
        return {f"{i}/{name}": values for i, track in self._tracks.items() for name, values in track.packed().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """As `StatefulCarrier.restore`."""
        self._tracks = {i: Track.unpacked(arrays) for i, arrays in by_object(state).items()}

    def _answers(self, view: PlaneView, expected: Mapping[int, Expected]) -> dict[int, _Answer | None]:
        """Ask the network for objects where they are expected; None where it finds nothing."""
        img_size = view.engine.embedder.img_size
        questions = [self._question(view, place, img_size) for place in expected.values()]
        choices = [
            CandidateChoice(MaskPrompt(place.mask, place.box), expected_change(place.mask, view.spacing))
            for place in expected.values()
        ]

        def choose(position: int, candidates: Candidates) -> int:
            return choices[position].best(candidates)

        decoded = decode_candidates(view, questions, choose, self._cancelled)
        answers: dict[int, _Answer | None] = {}
        for i, choice, candidates in zip(expected, choices, decoded, strict=True):
            kept = choice.chosen(candidates)
            answers[i] = None
            if kept is not None:
                (mask,), box = render_masks([LogitGrid(kept.logits, candidates.window)], candidates.window)
                answers[i] = _Answer(kept, mask, box, expected[i]) if mask.any() else None
        return answers

    def _question(self, view: PlaneView, expected: Expected, img_size: int) -> Question:
        """Return the prompts for an object that is expected at a place."""
        mask = MaskPrompt(expected.mask, expected.box)
        point = inner_point(expected.mask)[None] + expected.box[:2]
        labels = np.ones(1, np.int64)
        y0, x0, y1, x1 = expected.box
        box = float(y0), float(x0), float(y1), float(x1)
        prompts = Prompt(point, labels), Prompt(point, labels, box)
        window = choose_window(Prompt(mask=mask), view.image.shape, img_size, Hints())
        return Question(prompts, window, expected.box)

    def _judged(self, view: PlaneView, i: int, answer: _Answer) -> CarriedMask:
        """Return an answer if it is the object, which then is followed from there; else why it is not."""
        settings, track, kept = self.settings, self._tracks[i], answer.kept
        if not answer.mask.any():
            return absent("its place belongs to another object")
        allowed = 1 - expected_change(answer.expected.mask, view.spacing)
        growth = np.count_nonzero(answer.mask) / np.count_nonzero(answer.expected.mask)
        if not allowed / settings.most_growth <= growth <= settings.most_growth / allowed:
            return absent(f"jump: area times {growth:.2f}")
        confidence = kept.evidence
        moved = track.moved_to(view, answer.mask, answer.box, confidence)
        seen = appearance_of(moved.pixels.grey, moved.pixels.resample(answer.mask, answer.box))
        similarity = seen.similarity(track.reference)
        if similarity < settings.least_similarity:
            return absent(f"disappeared: similarity {similarity:.2f} below {settings.least_similarity:g}")
        if kept.score < settings.least_score:
            return absent(f"confidence {kept.score:.2f} below {settings.least_score:g}")
        if kept.agreement < settings.least_overlap * allowed:
            return absent(f"jump: overlap {kept.agreement:.2f} below {settings.least_overlap * allowed:.2g}")
        if not self._along_time and confidence < settings.least_confidence * track.confidence:
            return absent(f"confidence {confidence:.2f} after {track.confidence:.2f}")
        self._tracks[i] = moved
        return CarriedMask(answer.mask, answer.box, confidence, events=kept.events)


@dataclass(frozen=True)
class _Answer:
    """What the network answered for an object: its mask in level-0 pixels, and what was expected."""

    kept: KeptMask
    mask: NDArray[np.bool_]
    box: Box
    expected: Expected


def _separated(answers: Mapping[int, _Answer]) -> dict[int, _Answer]:
    """Return answers of which no two claim the same pixel; those that ran together have the event "merge"."""
    claims = {
        i: Claim(answer.mask, answer.box, (answer.expected.mask, answer.expected.box)) for i, answer in answers.items()
    }
    masks, merged = separate(claims)
    separated = {}
    for i, answer in answers.items():
        events = (*answer.kept.events, "merge") if i in merged else answer.kept.events
        separated[i] = replace(answer, mask=masks[i], kept=replace(answer.kept, events=events))
    return separated


def absent(reason: str) -> CarriedMask:
    """Return what stands for an object that is not on a plane."""
    return CarriedMask(np.zeros((1, 1), bool), Box(0, 0, 1, 1), 0.0, reason)
