"""Positional encodings of SAM 2: sine waves for maps and for distances in time, and rotations for attention."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

_TEMPERATURE = 10_000.0


@lru_cache(maxsize=16)
def sine_map(width: int, shape: tuple[int, int], device: torch.device) -> Tensor:
    """Return the sine encoding of a map's cells: (1, h * w, width), float32.

    The first half of the channels encodes y, the second x, each as alternating sines and cosines of the position in
    (0, 2 pi] (Carion et al., 2020, "End-to-End Object Detection with Transformers").

    Parameters
    ----------
    width : int
        Number of channels, a multiple of four.
    shape : (int, int)
        Height and width (h, w) of the map.
    device : torch.device
        Where to compute it.
    """
    half = width // 2
    frequency = _TEMPERATURE ** (2 * (torch.arange(half, device=device) // 2) / half)
    waves = []
    for size in shape:
        position = torch.arange(1, size + 1, device=device) / (size + 1e-6) * (2 * math.pi)
        phase = position[:, None] / frequency
        waves.append(torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], dim=2).flatten(1))  # (size, half)
    rows, cols = waves
    grid = torch.cat([rows[:, None].expand(*shape, half), cols[None].expand(*shape, half)], dim=-1)
    return grid.reshape(1, shape[0] * shape[1], width)


def sine_distances(distances: Tensor, width: int) -> Tensor:
    """Encode distances in time, (..., ), as sines followed by cosines: (..., width)."""
    half = width // 2
    frequency = _TEMPERATURE ** (2 * (torch.arange(half, device=distances.device) // 2) / half)
    phase = distances[..., None] / frequency
    return torch.cat([phase.sin(), phase.cos()], dim=-1)


@lru_cache(maxsize=8)
def rotations(width: int, shape: tuple[int, int], device: torch.device) -> Tensor:
    """Return the rotation of each pair of channels in each cell of a map: (h * w, width / 2), complex64.

    The first half of the pairs turns with x, the second with y (Heo et al., 2024, "Rotary Position Embedding for
    Vision Transformer").

    Parameters
    ----------
    width, shape, device
        As in `sine_map`.
    """
    frequency = _TEMPERATURE ** -(torch.arange(0, width, 4, device=device)[: width // 4].float() / width)
    y, x = (torch.arange(n, device=device).float() for n in shape)
    by_x = torch.outer(x, frequency)[None].expand(*shape, -1)
    by_y = torch.outer(y, frequency)[:, None].expand(*shape, -1)
    angle = torch.cat([by_x, by_y], dim=-1).reshape(shape[0] * shape[1], width // 2)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate neighbouring channels of tokens (..., F * L, C) by `turns` (L, C / 2), the same for each of F frames."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))  # (..., F * L, C / 2)
    turned = pairs.unflatten(-2, (-1, len(turns))) * turns
    return torch.view_as_real(turned).flatten(-4, -3).flatten(-2).to(x.dtype)
