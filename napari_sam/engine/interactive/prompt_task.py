"""A prompt on its way to a prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.engine.interactive.prediction import Prediction, PredictionContext

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import Prompt
    from napari_sam.engine.windows import Window

_LOW_CONFIDENCE_RETRIES = 3


@dataclass(frozen=True)
class PromptTask:
    """One object to segment, with the window it is decoded in next.

    Attributes
    ----------
    index : int
        Position in the caller's list.
    prompt : Prompt
        The prompt.
    window : Window
        Window to decode in.
    levels : tuple of int
        Sides of the windows so far, the current one included, level-0 pixels.
    finest : int or None
        Smallest side of the windows that refine the outline, level-0 pixels; None not to refine.
    context : PredictionContext
        Everything else that decides the result.
    retries : int
        How often a result of low confidence may still be replaced by that of a much coarser window.
    fallback : DecodedResult or None
        The first result of low confidence, used unless a coarser window gives a better one.
    first_look : DecodedResult or None
        The result that a second look is compared with, if this is one.
    """

    index: int
    prompt: Prompt
    window: Window
    levels: tuple[int, ...]
    finest: int | None
    context: PredictionContext
    retries: int = 0
    fallback: DecodedResult | None = None
    first_look: DecodedResult | None = None

    @property
    def seeds(self) -> NDArray[np.float64]:
        """Foreground points (P, 2) as (y, x), level-0 pixels."""
        seeds: NDArray[np.float64] = self.prompt.points[self.prompt.point_labels == 1]
        return seeds

    @property
    def place(self) -> tuple[Window, bool]:
        """What tasks must share to be decoded together: the window, and whether it is a second look."""
        return self.window, self.first_look is not None

    def moved_to(self, window: Window) -> PromptTask:
        """Return the same task in another window."""
        return replace(self, window=window, levels=(*self.levels, max(window.shape)))


@dataclass(frozen=True)
class DecodedResult:
    """A decoded task.

    Attributes
    ----------
    task : PromptTask
        The task that was decoded.
    logits : ndarray of float32
        (M, H, W) low-res logits.
    predicted_iou : ndarray of float32
        (M,) scores.
    """

    task: PromptTask
    logits: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]

    @property
    def score(self) -> float:
        """Score of the best mask."""
        return float(self.predicted_iou.max())

    @property
    def best_logits(self) -> NDArray[np.float32]:
        """Logits (H, W) of the mask with the highest score."""
        best: NDArray[np.float32] = self.logits[int(self.predicted_iou.argmax())]
        return best


def new_task(
    index: int, prompt: Prompt, window: Window, earlier: object, context: PredictionContext, *, kind: str
) -> PromptTask:
    """Make a task of a prompt and its first window.

    Parameters
    ----------
    index : int
        Position in the caller's list.
    prompt : Prompt
        The prompt.
    window : Window
        The window chosen for it.
    earlier : object
        The mask prompt as the caller gave it; the levels of an earlier prediction are used.
    context : PredictionContext
        Everything else that decides the result.
    kind : str
        Architecture of the network: only the default model retries results of low confidence.
    """
    if prompt.logits is not None and prompt.window is None:
        prompt = replace(prompt, window=window)  # low-res logits without a window belong to the first one
    side = max(window.shape)
    if isinstance(earlier, Prediction) and earlier.levels[-1] < max(earlier.window.shape):
        side = min(side, earlier.levels[-1])  # its outline was refined: refine that of the next prediction, too
    if context.refine is False:
        finest = None
    else:
        finest = window.img_size if context.refine else max(side, window.img_size)
    size_unknown = prompt.box is None and earlier is None and not context.hints.diameter_px
    retries = _LOW_CONFIDENCE_RETRIES if size_unknown and kind == "default" else 0
    return PromptTask(index, prompt, window, (max(window.shape),), finest, context, retries)
