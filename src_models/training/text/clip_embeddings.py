"""Embeddings of objects and of phrases by a CLIP model of the library transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LARGEST_GROWTH = 2.0
"""The box of an object is enlarged by a uniform factor from 1 to this one."""
BLANK_SHARE = 0.5
"""Share of the pictures whose background is set to zero."""


class ClipEmbedder:
    """CLIP with its tokenizer.

    Parameters
    ----------
    network : CLIPModel
        The model; its weights stay fixed.
    tokenizer : PreTrainedTokenizer
        Its tokenizer.
    mean, std : sequence of float
        (3,) each, by which its image processor normalises colours from 0 to 1.
    """

    def __init__(self, network: Any, tokenizer: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        self.network, self.tokenizer = network.eval().requires_grad_(False), tokenizer
        self.mean, self.std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (mean, std))
        vision = network.config.vision_config
        self.side, self.patch = int(vision.image_size), int(vision.patch_size)
        self.width = int(network.config.projection_dim)

    @torch.no_grad()
    def embed_text(self, phrases: Sequence[str]) -> Tensor:
        """Return the embeddings of phrases, (n, C), of length 1."""
        words = self.tokenizer(list(phrases), padding=True, truncation=True, return_tensors="pt")
        out = self.network.text_model(input_ids=words["input_ids"], attention_mask=words["attention_mask"])
        return F.normalize(self.network.text_projection(out.pooler_output), dim=-1)

    @torch.no_grad()
    def embed_objects(
        self, image: NDArray[np.uint8], masks: NDArray[np.bool_], rng: np.random.Generator | None = None
    ) -> Tensor:
        """Return the embeddings of objects, (n, C), of length 1.

        Each is seen in a square around its box, which `rng` enlarges; half of the pictures lose their background. In
        the last layer the class token sees the patches of the object only.

        Parameters
        ----------
        image : ndarray of uint8
            (H, W, 3).
        masks : ndarray of bool
            (n, H, W), none of them empty.
        rng : numpy.random.Generator, optional
            Draws the enlargement and the blank backgrounds; without it boxes are kept, and backgrounds too.
        """
        views = [self._view(image, mask, rng) for mask in masks]
        pixels = torch.from_numpy(np.stack([picture for picture, _ in views])).permute(0, 3, 1, 2).float() / 255
        seen = torch.from_numpy(np.stack([inside for _, inside in views]))
        patches = F.max_pool2d(seen[:, None].float(), self.patch).flatten(1) > 0  # (n, patches)
        vision = self.network.vision_model
        hidden = vision.pre_layrnorm(vision.embeddings((pixels - self.mean) / self.std))
        *earlier, last = vision.encoder.layers
        for layer in earlier:
            hidden = layer(hidden, None)
        hidden = last(hidden, _object_mask(patches, hidden))
        pooled = vision.post_layernorm(hidden[:, 0])
        return F.normalize(self.network.visual_projection(pooled), dim=-1)

    def _view(
        self, image: NDArray[np.uint8], mask: NDArray[np.bool_], rng: np.random.Generator | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the picture of an object (S, S, 3) and where the object is (S, S)."""
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        growth = 1.0 if rng is None else rng.uniform(1.0, LARGEST_GROWTH)
        side = growth * max(rows[-1] - rows[0], cols[-1] - cols[0]) + 1.0
        y, x = (rows[0] + rows[-1] + 1) / 2, (cols[0] + cols[-1] + 1) / 2
        box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
        size = (self.side, self.side)
        picture = np.array(
            Image.fromarray(image).transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
        )
        inside = np.array(Image.fromarray(mask).transform(size, Image.Transform.EXTENT, box))
        if rng is not None and rng.random() < BLANK_SHARE:
            picture[~inside] = 0
        return picture, inside


def _object_mask(patches: Tensor, hidden: Tensor) -> Tensor:
    """Return what is added to attention: the class token sees itself and the patches (n, P) of the object only."""
    count, tokens = hidden.shape[:2]
    added = hidden.new_zeros(count, 1, tokens, tokens)
    added[:, 0, 0, 1:].masked_fill_(~patches, torch.finfo(hidden.dtype).min)
    return added
