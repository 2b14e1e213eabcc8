"""Dense decoder of the default model: foreground, distance to the centre and distance to the boundary of all objects.

The three maps are those of micro-sam's instance decoder (Archit et al., 2025, "Segment Anything for Microscopy"), so
that one watershed serves both; `src_models.networks.unetr` has the network of micro-sam. This decoder is small: it
takes the embedding of the default model, which is twice as fine as SAM's, to half the resolution of the input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.layers import LayerNorm2d

FOREGROUND, CENTRE, BOUNDARY = 0, 1, 2
"""Channels of a dense prediction, all in [0, 1]. `CENTRE` is 0 at an object's centre and 1 at its farthest pixel,
`BOUNDARY` is 0 at its deepest pixel and 1 at its outline; both are 1 in the background."""


class _ResidualConv(nn.Module):
    """3 x 3 convolution with normalisation and a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = LayerNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + F.gelu(self.norm(self.conv(x)))


class DenseDecoder(nn.Module):
    """Map an embedding to dense maps, at a quarter of its stride.

    Parameters
    ----------
    width : int
        Width of the embedding.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(width, 128, 3, padding=1), LayerNorm2d(128), nn.GELU())
        self.mix8 = _ResidualConv(128)
        self.up4 = nn.Sequential(nn.ConvTranspose2d(128, 64, 2, 2), LayerNorm2d(64), nn.GELU())
        self.mix4 = _ResidualConv(64)
        self.up2 = nn.Sequential(nn.ConvTranspose2d(64, 32, 2, 2), LayerNorm2d(32), nn.GELU())
        self.mix2 = _ResidualConv(32)
        self.head = nn.Conv2d(32, 3, 1)

    def features(self, embedding: Tensor) -> Tensor:
        """Map (B, 256, h, w) to the decoder's own features (B, 128, h, w), of which `from_features` makes logits."""
        out: Tensor = self.mix8(self.reduce(embedding))
        return out

    def from_features(self, features: Tensor) -> Tensor:
        """Map (B, 128, h, w) to (B, 3, 4h, 4w) before the sigmoid."""
        x = self.mix4(self.up4(features))
        out: Tensor = self.head(self.mix2(self.up2(x)))
        return out

    def logits(self, embedding: Tensor) -> Tensor:
        """Map (B, 256, h, w) to (B, 3, 4h, 4w) before the sigmoid."""
        return self.from_features(self.features(embedding))

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (B, 256, h, w) to (B, 3, 4h, 4w) in [0, 1], with the channels of this module's constants."""
        return torch.sigmoid(self.logits(embedding))
