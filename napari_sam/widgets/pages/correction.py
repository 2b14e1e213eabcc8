"""Correcting an object of the review with prompts: its mask is where the network begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam.engine.interactive.prompts import MaskPrompt

if TYPE_CHECKING:
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.labels.review_queue import Candidate

_LARGEST_MASK_PX = 1 << 26  # of a larger object only the box is shown to the network


@dataclass
class Fix:
    """The object that is corrected.

    Attributes
    ----------
    candidate : Candidate
        Which.
    prompt : dict
        What the network is told besides what the user draws: keywords of `Predictor.predict`.
    """

    candidate: Candidate
    prompt: dict[str, Any]

    @classmethod
    def of(cls, store: LabelStore, candidate: Candidate) -> Fix:
        """Begin with the object as it is.

        Raises
        ------
        LabelsError
            If it is gone.
        """
        y0, x0, y1, x1 = candidate.box
        if (y1 - y0) * (x1 - x0) > _LARGEST_MASK_PX:
            return cls(candidate, {"box": tuple(float(v) for v in candidate.box)})
        mask, box = store.mask(candidate.label)
        return cls(candidate, {"mask": MaskPrompt(mask, box)})

    @property
    def mask(self) -> MaskPrompt | None:
        """The object as it is; None where it is too large, or the user began anew."""
        return self.prompt.get("mask")

    def asks(self, drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What to ask, given what the user drew; an area drawn anew counts instead of the old mask.

        Nothing is asked before something is drawn: of a mask alone the network would make a worse one.
        """
        return [{**({} if "box" in one else self.prompt), **one} for one in drawn]
