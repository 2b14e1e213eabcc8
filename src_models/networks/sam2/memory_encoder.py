"""Memory encoder of SAM 2: turn a frame's features and an object's mask into the memory of that frame."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.layers import DepthwiseConv2d, LayerNorm2d
from src_models.networks.sam2.config import MEMORY_WIDTH, WIDTH

_MASK_SCALE, _MASK_BIAS = 20.0, -10.0


class MaskDownsampler(nn.Module):
    """Four strided convolutions from a mask at the network's resolution to the grid of the embedding."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(4):
            layers += [nn.Conv2d(4**i, 4 ** (i + 1), 3, 2, 1), LayerNorm2d(4 ** (i + 1)), nn.GELU()]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(WIDTH, WIDTH, 1))

    def forward(self, mask: Tensor) -> Tensor:
        """Map (N, 1, S, S) to (N, 256, S / 16, S / 16)."""
        out: Tensor = self.encoder(mask)
        return out


class ConvNeXtBlock(nn.Module):
    """ConvNeXt block with layer scale (Liu et al., 2022, "A ConvNet for the 2020s")."""

    def __init__(self) -> None:
        super().__init__()
        self.dwconv = DepthwiseConv2d(WIDTH, 7)
        self.norm = LayerNorm2d(WIDTH)
        self.pwconv1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.pwconv2 = nn.Linear(4 * WIDTH, WIDTH)
        self.gamma = nn.Parameter(torch.full((WIDTH,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 256, h, w) to the same shape."""
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        out: Tensor = x + y.permute(0, 3, 1, 2)
        return out


class Fuser(nn.Module):
    """Two ConvNeXt blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvNeXtBlock() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 256, h, w) to the same shape."""
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Encode masks of N objects on one frame."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler()
        self.pix_feat_proj = nn.Conv2d(WIDTH, WIDTH, 1)
        self.fuser = Fuser()
        self.out_proj = nn.Conv2d(WIDTH, MEMORY_WIDTH, 1)

    def forward(self, image: Tensor, logits: Tensor, binarise: bool) -> Tensor:
        """Encode a frame for N objects.

        Parameters
        ----------
        image : Tensor
            (1, 256, h, w) features of the frame, not conditioned on any memory.
        logits : Tensor
            (N, 1, 4h, 4w) low-res logits of the masks.
        binarise : bool
            Encode the masks at threshold 0, as for prompted frames, instead of their probabilities.

        Returns
        -------
        Tensor
            (N, 64, h, w).
        """
        side = 16 * image.shape[-1]
        enlarged = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)
        mask = (enlarged > 0).to(logits.dtype) if binarise else enlarged.sigmoid()
        mask = (mask * _MASK_SCALE + _MASK_BIAS).contiguous(memory_format=torch.channels_last)
        fused = self.fuser(self.pix_feat_proj(image) + self.mask_downsampler(mask))
        return cast("Tensor", self.out_proj(fused))
