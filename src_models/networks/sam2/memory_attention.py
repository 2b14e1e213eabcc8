"""Memory attention of SAM 2: condition a frame's features on an object's memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.sam2.config import MEMORY_WIDTH, WIDTH
from src_models.networks.sam2.positions import rotate, rotations, sine_map

_LAYERS = 4
_HIDDEN = 2048
_POSITION_SCALE = 0.1
_QUERIES, _KEYS = 512, 4096  # block of attention weights computed together on a CPU: 8 MB


@dataclass(frozen=True)
class MemoryTokens:
    """Memory of N objects with equally many frames and pointers.

    Attributes
    ----------
    values : Tensor
        (N, F * h * w + P, 64): the maps of F frames, then P tokens of object pointers.
    positions : Tensor
        Positional encodings of the same shape.
    pointers : int
        Number P of tokens of object pointers.
    """

    values: Tensor
    positions: Tensor
    pointers: int


class RotaryAttention(nn.Module):
    """Attention with one head and rotary positions.

    Parameters
    ----------
    width_in : int
        Channels of keys and values.
    """

    def __init__(self, width_in: int = WIDTH) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(width_in, WIDTH)
        self.v_proj = nn.Linear(width_in, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, turns: Tensor, unrotated: int = 0) -> Tensor:
        """Attend.

        Parameters
        ----------
        queries : Tensor
            (N, L, 256).
        keys, values : Tensor
            (N, M, C).
        turns : Tensor
            (L, 128) rotations of a frame's tokens; keys of several frames repeat them.
        unrotated : int
            Number of keys without a position, the last ones.
        """
        q = rotate(self.q_proj(queries), turns)
        k = self.k_proj(keys)
        placed = k.shape[1] - unrotated
        k = torch.cat([rotate(k[:, :placed], turns), k[:, placed:]], dim=1)
        if q.device.type == "cpu" and values.shape[-1] < WIDTH and not torch.is_grad_enabled():
            attended = self.v_proj(_weighted_sums(q, k, values.to(q.dtype)))  # the weights of a query sum to 1
        else:
            attended = F.scaled_dot_product_attention(q[:, None], k[:, None], self.v_proj(values)[:, None])[:, 0]
        out: Tensor = self.out_proj(attended)
        return out


def _weighted_sums(q: Tensor, k: Tensor, values: Tensor) -> Tensor:
    """Return the values (N, M, C) summed with the softmax weights of every query: (N, L, C).

    Values that are narrower than the keys are summed before they are projected, which is a quarter of the work;
    `scaled_dot_product_attention` takes no such values without holding all weights. Blocks of weights stay in the
    cache, and each rescales the sums of those before it (Milakov & Gimelshein, 2018, "Online normalizer calculation for
    softmax").
    """
    q = q * q.shape[-1] ** -0.5
    sums = [
        _sums_of_rows(rows, keys, some)
        for queries, keys, some in zip(q, k, values, strict=True)
        for rows in queries.split(_QUERIES)
    ]
    return torch.cat(sums).view(*q.shape[:2], -1)


def _sums_of_rows(q: Tensor, k: Tensor, values: Tensor) -> Tensor:
    """Return the weighted sums of one object's values (M, C) for some scaled queries (L, 256): (L, C)."""
    largest = q.new_full((len(q), 1), -math.inf)
    total, sums = torch.zeros_like(largest), q.new_zeros(len(q), values.shape[-1])
    for keys, some in zip(k.split(_KEYS), values.split(_KEYS), strict=True):
        scores = q @ keys.T
        before, largest = largest, torch.maximum(largest, scores.amax(-1, keepdim=True))
        weights = scores.sub_(largest).exp_()
        factor = (before - largest).exp_()
        total = total * factor + weights.sum(-1, keepdim=True)
        sums = sums * factor + weights @ some
    return sums / total


class MemoryAttentionLayer(nn.Module):
    """Self-attention of a frame, attention to the memory, and a feed-forward network."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = RotaryAttention()
        self.cross_attn_image = RotaryAttention(MEMORY_WIDTH)
        self.linear1 = nn.Linear(WIDTH, _HIDDEN)
        self.linear2 = nn.Linear(_HIDDEN, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.norm3 = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, memory: MemoryTokens, keys: Tensor, turns: Tensor) -> Tensor:
        """Update the tokens (1 or N, L, 256) of a frame for N objects; `keys` are memory plus positions."""
        y = self.norm1(x)
        x = x + self.self_attn(y, y, y, turns)
        x = x.expand(len(keys), -1, -1)
        x = x + self.cross_attn_image(self.norm2(x), keys, memory.values, turns, memory.pointers)
        out: Tensor = x + self.linear2(F.relu(self.linear1(self.norm3(x))))
        return out


class MemoryAttention(nn.Module):
    """Four layers of attention to the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryAttentionLayer() for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, image: Tensor, memory: MemoryTokens) -> Tensor:
        """Condition a frame on the memory of N objects.

        The first self-attention sees the same frame for all objects and is computed once.

        Parameters
        ----------
        image : Tensor
            (1, 256, h, w).
        memory : MemoryTokens
            Memory of N objects.

        Returns
        -------
        Tensor
            (N, 256, h, w).
        """
        shape = (image.shape[-2], image.shape[-1])
        turns = rotations(WIDTH, shape, image.device)
        x = image.flatten(2).transpose(1, 2) + _POSITION_SCALE * sine_map(WIDTH, shape, image.device)
        keys = memory.values + memory.positions
        for layer in self.layers:
            x = layer(x, memory, keys, turns)
        out: Tensor = self.norm(x)
        return out.transpose(1, 2).reshape(len(out), WIDTH, *shape)
