"""CLIP embeddings as prompts: a projection to a token of the prompt encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from src_models.networks.prompt_encoder import PAD_POINT, PromptEmbedding

if TYPE_CHECKING:
    from src_models.networks.promptable import PromptableNetwork


class TextProjection(nn.Module):
    """Project l2-normalised CLIP embeddings, (N, C), to tokens, (N, 1, W).

    In training the embedding is that of the picture of an object, at test that of a phrase (Kirillov et al., 2023,
    appendix D.5).

    Parameters
    ----------
    clip_width : int
        Width C of CLIP's embeddings.
    width : int
        Width W of the prompt encoder.
    """

    def __init__(self, clip_width: int, width: int) -> None:
        super().__init__()
        self.clip_width = clip_width
        self.layers = nn.Sequential(nn.Linear(clip_width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the tokens."""
        unit = nn.functional.normalize(embeddings.float(), dim=-1)
        tokens: Tensor = self.layers(unit * self.clip_width**0.5)[:, None]  # components of size 1
        return tokens


def with_text(prompt: PromptEmbedding, tokens: Tensor) -> PromptEmbedding:
    """Return prompts with a text token (N, 1, W) before their other tokens."""
    valid = prompt.valid
    if valid is not None:
        valid = torch.cat([valid.new_ones(len(tokens), 1), valid], dim=1)
    return PromptEmbedding(torch.cat([tokens.to(prompt.tokens.dtype), prompt.tokens], 1), valid, prompt.dense)


@torch.inference_mode()
def decode_text(net: PromptableNetwork, embedding: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Decode phrases on one image.

    Parameters
    ----------
    net : PromptableNetwork
        The network.
    embedding : Tensor
        (1, W, h, w) of the image.
    tokens : Tensor
        (N, 1, W) of the phrases.

    Returns
    -------
    logits : Tensor
        (N, 4, 4h, 4w): the single mask, then three.
    predicted_iou : Tensor
        (N, 4).
    """
    count, shape = len(tokens), (embedding.shape[-2], embedding.shape[-1])
    coords = tokens.new_zeros(count, 1, 2)
    labels = torch.full((count, 1), PAD_POINT, device=tokens.device)
    prompt = with_text(net.prompt_encoder(coords, labels, None, shape), tokens)
    pe = net.prompt_encoder.dense_pe(shape)
    state = net.mask_decoder.decode_tokens(
        embedding.expand(count, -1, -1, -1), pe, prompt.tokens, prompt.dense, prompt.valid
    )
    return net.mask_decoder.upscale(state, slice(0, 4)), state.predicted_iou
