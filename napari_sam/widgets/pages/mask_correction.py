"""The correction of an object under review: the network refines its mask by prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.engine.interactive.prompts import MaskPrompt

if TYPE_CHECKING:
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.layers.prompt_layers import PromptKeywords

_LARGEST_MASK_PX = 1 << 26  # of larger objects only the box goes to the network


@dataclass(frozen=True)
class MaskCorrection:
    """The object under correction.

    Attributes
    ----------
    candidate : ReviewItem
        The object.
    prompt : dict
        Keywords of `Predictor.predict` that are added to what the user draws.
    """

    candidate: ReviewItem
    prompt: PromptKeywords

    @classmethod
    def of(cls, store: LabelStore, candidate: ReviewItem) -> MaskCorrection:
        """Start from the object's current mask.

        Raises
        ------
        LabelsError
            If the object no longer exists.
        """
        y0, x0, y1, x1 = candidate.box
        if (y1 - y0) * (x1 - x0) > _LARGEST_MASK_PX:
            return cls(candidate, {"box": (float(y0), float(x0), float(y1), float(x1))})
        mask, box = store.mask(candidate.label, candidate.plane)
        return cls(candidate, {"mask": MaskPrompt(mask, box)})

    def on_plane(self, store: LabelStore, plane: tuple[int, ...]) -> MaskCorrection:
        """Return the correction of the same object on another plane; without a mask if the object is not there."""
        parts = {part.plane: part for part in store.journal.objects.planes_of(self.candidate.label)}
        if plane not in parts:
            return self.started_over()
        return self.of(store, replace(self.candidate, plane=plane, box=parts[plane].box))

    @property
    def mask(self) -> MaskPrompt | None:
        """The object's current mask; None if it is too large, or the user started over."""
        return self.prompt.get("mask")

    def started_over(self) -> MaskCorrection:
        """Return the correction of the same object without its current mask."""
        return MaskCorrection(self.candidate, {})

    def prompts(self, drawn: list[PromptKeywords]) -> list[PromptKeywords]:
        """Return the prompts for what the user drew; a drawn box or area replaces the current mask.

        Without drawing there is no prompt, because from a mask alone the network would predict a worse one.
        """
        return [prompt if "box" in prompt else {**self.prompt, **prompt} for prompt in drawn]
