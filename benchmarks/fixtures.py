"""Networks, images and prompts that are the same in every run and need no download."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from src_models.networks.sam import build_sam

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_sam.engine.interactive.prediction import Prediction
    from src_models.networks.sam import Sam


def fill_weights(net: nn.Module, seed: int = 0) -> None:
    """Give a network reproducible random weights of the size that training would leave, in place.

    Matrices and kernels preserve the variance of their input, learned positions and tokens stay small against
    it, scales are near one, running variances positive.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if not value.is_floating_point():
            continue
        drawn = torch.randn(value.shape, generator=generator)
        embeds = any(part in name for part in ("embed", "token", "rel_pos", "attention_biases"))
        if "gaussian" in name:
            scaled = drawn
        elif value.ndim > 1 and (not embeds or "proj.weight" in name):
            scaled = drawn / math.sqrt(math.prod(value.shape[1:]))
        elif name.endswith("running_var"):
            scaled = 1 + 0.1 * drawn.abs()
        elif value.ndim == 1 and name.endswith("weight"):
            scaled = 1 + 0.05 * drawn
        else:
            scaled = (0.3 if embeds else 0.05) * drawn
        value.copy_(scaled)


def random_sam(kind: str, seed: int = 0) -> Sam:
    """Build a network of `kind` with reproducible random weights."""
    net = build_sam(kind)
    with torch.no_grad():
        fill_weights(net, seed)
    return net


def random_embedding(seed: int = 0) -> torch.Tensor:
    """Draw an embedding (1, 256, 64, 64), normalised and smooth as an image encoder leaves it."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 256, 16, 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic", align_corners=False)
    return torch.nn.functional.layer_norm(smooth.permute(0, 2, 3, 1), (256,)).permute(0, 3, 1, 2).contiguous()


def synthetic_image(side: int = 1024, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a smooth random RGB image, (side, side, 3), that uses all of 0 ... 255 in every channel."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(4, side // 32), max(4, side // 32), 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)).astype(float)
    low, high = image.min((0, 1)), image.max((0, 1))
    return np.round((image - low) * (255 / (high - low))).astype(np.uint8)


def synthetic_cells(side: int = 4096, pitch: int = 96, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Draw bright discs on a grey image (side, side); returns also their centres (N, 2) as (y, x)."""
    rng = np.random.default_rng(seed)
    image = rng.normal(30, 6, (side, side)).astype(np.float32)
    starts = np.arange(pitch // 2, side - pitch // 2, pitch)
    grid = np.stack(np.meshgrid(starts, starts, indexing="ij"), -1).reshape(-1, 2)
    centres = grid + rng.uniform(-pitch / 8, pitch / 8, grid.shape)
    reach = pitch // 2
    for (y, x), radius in zip(centres, rng.uniform(pitch / 6, pitch / 3.5, len(centres)), strict=True):
        top, left = max(0, int(y) - reach), max(0, int(x) - reach)
        part = image[top : top + 2 * reach, left : left + 2 * reach]
        rows, cols = np.ogrid[: part.shape[0], : part.shape[1]]
        part[(rows + top - y) ** 2 + (cols + left - x) ** 2 < radius**2] += rng.uniform(90, 160)
    return np.clip(image, 0, 255).astype(np.uint8), centres


def grid_points(count: int, side: int = 1024, seed: int = 0) -> NDArray[np.float64]:
    """Draw `count` points (count, 2) as (y, x), away from the border of a square image."""
    rng = np.random.default_rng([seed, count])
    return np.floor(rng.uniform(0.05 * side, 0.95 * side, (count, 2)))


def full_masks(predictions: Sequence[Prediction], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Put all masks of all predictions into the image's frame: (N, M, H, W)."""
    return np.stack([[p.full_mask(shape, i) for i in range(len(p.masks))] for p in predictions])


def mean_iou(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> float:
    """Average the IoU over all masks; two empty masks agree.

    >>> mean_iou(np.array([[[True, True]]]), np.array([[[True, False]]]))
    0.5
    """
    pairs = zip(masks.reshape(-1, *masks.shape[-2:]), others.reshape(-1, *others.shape[-2:]), strict=True)
    ious = []
    for a, b in pairs:
        union = np.count_nonzero(a | b)
        ious.append(np.count_nonzero(a & b) / union if union else 1.0)
    return float(np.mean(ious))
