"""Decode several prompts for each object of a plane, and follow what a window cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.interactive.logit_fields import span_of
from napari_sam.engine.interactive.prediction import PredictionContext
from napari_sam.engine.interactive.prompt_task import PromptTask
from napari_sam.engine.windows import coarser_window, cut_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.interactive.prompts import Prompt
    from napari_sam.engine.propagation.plane_views import PlaneView
    from napari_sam.engine.windows import Window


@dataclass(frozen=True)
class Question:
    """What is asked about one object on a plane.

    Attributes
    ----------
    prompts : tuple of Prompt
        Several ways of prompting for the same object.
    window : Window
        Window to decode in.
    extent : Box
        Region in which the object is expected, level-0 pixels.
    """

    prompts: tuple[Prompt, ...]
    window: Window
    extent: Box


@dataclass(frozen=True)
class Candidates:
    """The masks that answer a question.

    Attributes
    ----------
    logits : ndarray of float32
        (N, H, W) low-res logits, all masks of all prompts.
    scores : ndarray of float32
        (N,) predicted IoU.
    window : Window
        Window of the logits.
    masks_per_prompt : int
        Number of masks that answer each prompt.
    """

    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    window: Window
    masks_per_prompt: int


def decode_candidates(
    view: PlaneView,
    questions: Sequence[Question],
    choose: Callable[[int, Candidates], int],
    cancelled: Callable[[], bool] | None = None,
) -> list[Candidates]:
    """Decode questions; those that share a window are decoded together.

    Parameters
    ----------
    view : PlaneView
        The plane.
    questions : sequence of Question
        One for each object.
    choose : callable
        Takes the position of a question and its candidates, and returns the index of the best candidate. Where the
        window cuts it, the question is repeated in a coarser window.
    cancelled : callable, optional
        Called between the steps; return True to stop.

    Returns
    -------
    list of Candidates
        In the order of `questions`.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True.
    """
    shape = view.image.shape
    context = PredictionContext(normalisation=view.normalisation, image_shape=shape)
    done: dict[int, Candidates] = {}
    waiting = dict(enumerate(questions))
    while waiting:
        window = next(iter(waiting.values())).window
        group = {i: q for i, q in waiting.items() if q.window == window}
        for i in group:
            del waiting[i]
        tasks = [
            PromptTask(0, prompt, window, (max(window.shape),), None, context)
            for question in group.values()
            for prompt in question.prompts
        ]
        decoded = iter(view.engine.decoder.decode(tasks, True, cancelled))
        for i, question in group.items():
            parts = [next(decoded) for _ in question.prompts]
            logits, scores = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
            candidates = Candidates(logits, scores, window, len(parts[0][1]))
            wider = _wider(question, candidates.logits[choose(i, candidates)], shape)
            if wider is None:
                done[i] = candidates
            else:
                waiting[i] = replace(question, window=wider)
    return [done[i] for i in range(len(questions))]


def _wider(question: Question, logits: NDArray[np.float32], shape: tuple[int, int]) -> Window | None:
    """Return a coarser window for a mask that its window cuts; None if it does not."""
    window = question.window
    span = span_of(logits[None], window)
    if span is None or not cut_by(logits, window, shape):
        return None
    wider = coarser_window(window, span.union(question.extent), shape)
    return wider if wider is not None and wider.holds(question.extent) else None
