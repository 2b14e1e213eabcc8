"""The masks of an answer as the page "Click" shows them: which mask of which object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.layers.prompt_layers import masks_of
from napari_sam.widgets.pages.acceptance import covered_parts
from napari_sam.widgets.pages.guide import batch_text, candidate_text

if TYPE_CHECKING:
    from napari_sam.layers.overlap import Overlap
    from napari_sam.layers.prompt_layers import PromptLayers
    from napari_sam.widgets.engine_session import Answer
    from napari_sam.widgets.pages.acceptance import Acceptance


class MaskPreview:
    """Choose among the masks of an answer, and among its objects.

    Parameters
    ----------
    acceptance : Acceptance
        What compares masks with saved objects.

    Attributes
    ----------
    answer : Answer or None
        Predictions for the prompts.
    candidates : list of int
        Index of the chosen mask of each object.
    position : int or None
        Index of the object that is highlighted among several; None for all alike.
    overlaps : list of Overlap or None
        The saved objects under the mask of each object.
    """

    def __init__(self, acceptance: Acceptance) -> None:
        self._acceptance = acceptance
        self.answer: Answer | None = None
        self.candidates: list[int] = []
        self.position: int | None = None
        self.overlaps: list[Overlap | None] = []

    def begin(self, answer: Answer) -> None:
        """Show the best mask of each object of a new answer."""
        if self.answer is None or len(answer.predictions) != len(self.answer.predictions):
            self.position = None
        self.answer = answer
        self.candidates = [prediction.best for prediction in answer.predictions]

    def clear(self) -> None:
        """Show nothing."""
        self.answer, self.candidates, self.position, self.overlaps = None, [], None, []

    def step(self, step: int) -> None:
        """Choose another mask of a single object, or highlight another one of several."""
        if self.answer is None:
            return
        if len(self.answer.predictions) == 1:
            self.position = 0
            self.next_mask(step)
            return
        count = len(self.answer.predictions)
        start = -1 if step > 0 else 0
        self.position = ((start if self.position is None else self.position) + step) % count

    def next_mask(self, step: int = 1) -> None:
        """Choose another mask of the highlighted object."""
        if self.answer is not None and self.position is not None:
            count = self.answer.predictions[self.position].count
            self.candidates[self.position] = (self.candidates[self.position] + step) % count

    def show(self, prompts: PromptLayers, corrected: int | None) -> None:
        """Show the chosen masks on the preview layer; `corrected` is the object that gets the mask."""
        if self.answer is None:
            return
        masks = masks_of(self.answer.predictions, self.candidates)
        self.overlaps = self._acceptance.overlaps(self.answer, self.candidates, corrected)
        current = None if len(masks) == 1 else self.position
        covered = covered_parts(self.answer, self.overlaps)
        prompts.show(masks, self.answer.plane, outline=corrected is not None, covered=covered, current=current)

    @property
    def text(self) -> str:
        """What is shown, in words."""
        if self.answer is None or len(self.answer.predictions) == 1:
            return candidate_text(self.answer, self.candidates[0] if self.candidates else 0)
        return batch_text(self.answer, self.candidates, self.position)
