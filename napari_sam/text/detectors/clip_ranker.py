"""Rank pictures of objects by CLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BATCH = 16
_CONTRARY = "background"


class ClipRanker:
    """Scores by CLIP: how much better a picture fits the phrase than the word "background".

    Parameters
    ----------
    name : str
        Name of the model.
    network : CLIPModel
        The model, in evaluation mode.
    processor : CLIPProcessor
        Makes its inputs.
    device : str
        Device of the network.

    References
    ----------
    .. [1] A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.
    """

    def __init__(self, name: str, network: Any, processor: Any, device: str = "cpu") -> None:
        self.name, self.network, self.processor, self.device = name, network, processor, device

    @torch.inference_mode()
    def rank(self, crops: Sequence[NDArray[np.uint8]], text: str) -> NDArray[np.float32]:
        """Return scores (n,) from 0 to 1 of pictures (h, w, 3); see `MaskRanker`."""
        scores = [np.zeros(0, np.float32)]
        for start in range(0, len(crops), _BATCH):
            inputs = self.processor(
                text=[text, _CONTRARY],
                images=[Image.fromarray(np.ascontiguousarray(crop)) for crop in crops[start : start + _BATCH]],
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            logits = self.network(**{key: value.to(self.device) for key, value in inputs.items()}).logits_per_image
            scores.append(logits.softmax(-1)[:, 0].float().cpu().numpy())
        return np.concatenate(scores)
