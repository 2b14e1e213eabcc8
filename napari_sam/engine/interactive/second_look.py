"""A second look at objects of middling score: in a window laid around the first mask, and mirrored.

The second look averages the logits of a window and of the window mirrored left to right. Where the first mask is much
smaller than its window, the window is laid around it, and the first mask becomes a mask prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.engine.interactive.logit_fields import span_of
from napari_sam.engine.windows import cut_by, window_around

if TYPE_CHECKING:
    from napari_sam.engine.interactive.prompt_task import DecodedResult, PromptTask


@dataclass(frozen=True)
class SecondLook:
    """When to look again, and whether the second result is better.

    Attributes
    ----------
    below : float
        Results of points whose score is at least this are good enough.
    below_box : float
        The same for results of a box, which people draw where they want a close outline.
    factor : float
        Smallest side of the second window over the long side of the first mask.
    gain : float
        By how much the second score must exceed the first.
    shrink : float
        The second window must be this much smaller than the first; else the second look is at the same window.
    """

    below: float = 0.6
    below_box: float = 0.88
    factor: float = 1.6
    gain: float = 0.02
    shrink: float = 0.8

    def next_task(self, result: DecodedResult, image_shape: tuple[int, int]) -> PromptTask | None:
        """Return the task of the second look, in another window or the same; None if one look is enough.

        Parameters
        ----------
        result : DecodedResult
            The first look.
        image_shape : (int, int)
            Height and width of level 0.
        """
        task = result.task
        enough = self.below if task.prompt.box is None else self.below_box
        if task.first_look is not None or task.prompt.logits is not None or result.score >= enough:
            return None
        same = replace(task, first_look=result)
        span = span_of(result.best_logits[None], task.window)
        if span is None:
            return same
        y0, x0, y1, x1 = task.prompt.extent
        both = (min(span.y0, y0), min(span.x0, x0), max(span.y1, y1), max(span.x1, x1))
        side = self.factor * max(both[2] - both[0], both[3] - both[1])
        window = window_around(both, side, image_shape, task.window.img_size)
        if max(window.shape) > self.shrink * max(task.window.shape):
            return same
        return replace(task.moved_to(window), first_look=result)

    def better(self, second: DecodedResult, image_shape: tuple[int, int]) -> DecodedResult:
        """Return the better of both looks; a second mask that its window cuts is not.

        Parameters
        ----------
        second : DecodedResult
            The second look; its task holds the first.
        image_shape : (int, int)
            Height and width of level 0.
        """
        task, first = second.task, second.task.first_look
        if first is None:
            return second
        if first.task.window == task.window:  # the same masks, averaged: better unless the score falls
            return second if second.score >= first.score - self.gain else first
        if second.score < first.score + self.gain or cut_by(second.best_logits, task.window, image_shape):
            return first
        return second
