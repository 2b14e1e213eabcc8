"""micro-sam's instance decoder: a UNETR on SAM's embedding, with the key names of the published files.

It maps an embedding to three maps of the whole window (Archit et al., 2025, "Segment Anything for Microscopy", after
Hatamizadeh et al., 2022, "UNETR"). The training targets define their meaning; all are in [0, 1]:

- channel 0, foreground: probability that a pixel belongs to an object.
- channel 1, distance to the centre: 0 at the object's centre (its centroid, or its deepest pixel where the centroid
  lies outside), growing with Euclidean distance, 1 at the object's farthest pixel.
- channel 2, inverted distance to the boundary: 0 at the object's deepest pixel, 1 on its outermost pixels.

Both distances are divided by their largest value in each object, so that they are small inside large and small objects
alike. Targets are 1 in the background, but the loss excludes it: there, the two channels have no meaning and must be
masked with channel 0. The edge of the image is no boundary.

Two kinds of files exist. They differ in how they double the resolution: bilinear interpolation and a 1 x 1 convolution
(micro-sam 1.6 and later), or a transposed convolution (earlier versions).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Upsampling = Literal["bilinear", "transposed"]

_WIDTHS = (512, 256, 128, 64)  # channels at strides 8, 4, 2 and 1 of the input image


class _Block(nn.Module):
    """Layer with ``block`` in its keys."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        out: Tensor = self.block(x)
        return out


class _Interpolation(nn.Module):
    """Double the resolution by bilinear interpolation, and change the width by a 1 x 1 convolution."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width_in, H, W) to (B, width_out, 2H, 2W)."""
        # micro-sam interpolates first. The two commute, since interpolation weights add up to 1, and in this order the
        # convolution has a quarter of the cost.
        return F.interpolate(self.conv(x), scale_factor=2, mode="bilinear", align_corners=False)


class _Upscaling(nn.Module):
    """Step from the embedding towards the image: double the resolution, 3 x 3 convolution, normalisation, ReLU."""

    def __init__(self, sampler: nn.Module, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(sampler, _Block(nn.Conv2d(width, width, 3, padding=1)), nn.BatchNorm2d(width))

    def forward(self, x: Tensor, own_statistics: bool = True) -> Tensor:
        """Map (B, C, H, W) to (B, width, 2H, 2W)."""
        sampler, conv, layer = self.block
        x, norm = conv(sampler(x)), cast("nn.BatchNorm2d", layer)
        if own_statistics and not self.training:
            return F.relu_(F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps))
        return F.relu_(norm(x))


class UnetrDecoder(nn.Module):
    """Map SAM's embedding to foreground, distance to the centre and distance to the boundary.

    The docstring of the module describes the maps. micro-sam scales them to the image as it does with SAM's masks: it
    crops the padding of the network's input, then interpolates bilinearly. A seeded watershed turns them into objects.
    By default it smooths with Gaussians, with sigma 1 px for channel 0 and 1.6 px for the others. Objects are where
    channel 0 exceeds 0.5; their seeds are the connected parts where channels 1 and 2 both are below 0.5 as well; the
    watershed floods channel 2.

    Parameters
    ----------
    upsampling : {"bilinear", "transposed"}
        How the resolution is doubled; 9,591,235 or 11,028,931 parameters.
    own_statistics : bool
        How to normalise the steps from the embedding to the image in evaluation mode: with the statistics of each
        image, or with the averages stored during training. The published files were tuned and measured in the first
        way, because micro-sam leaves its decoder in training mode (micro-sam issue 1325) and passes single images.

    Attributes
    ----------
    upsampling : {"bilinear", "transposed"}
        As given.
    own_statistics : bool
        As given; can be changed at any time.
    """

    def __init__(self, upsampling: Upsampling = "bilinear", own_statistics: bool = True) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.own_statistics = own_statistics
        wide, fine = _WIDTHS[0], _WIDTHS[-1]
        self.deconv1 = _Upscaling(_sampler(upsampling, 256, 512), 512)
        self.deconv2 = _Upscaling(_sampler(upsampling, 512, 256), 256)
        self.deconv3 = _Upscaling(_sampler(upsampling, 256, 128), 128)
        self.deconv4 = _Upscaling(_sampler(upsampling, 128, 64), 64)
        self.base = _refinement(256, wide)
        self.decoder = nn.ModuleDict(
            {
                "blocks": nn.ModuleList(_refinement(a, b) for a, b in pairwise(_WIDTHS)),
                "samplers": nn.ModuleList(_sampler(upsampling, a, b) for a, b in pairwise(_WIDTHS)),
            }
        )
        self.deconv_out = _sampler(upsampling, fine, fine)
        self.decoder_head = _refinement(2 * fine, fine)
        self.out_conv = nn.Conv2d(fine, 3, 1)

    def logits(self, embedding: Tensor) -> Tensor:
        """Compute the maps before the sigmoid.

        Parameters
        ----------
        embedding : Tensor (B, 256, h, w)
            Output of SAM's image encoder; h and w at least 2.

        Returns
        -------
        Tensor (B, 3, 16h, 16w)
            On the grid of the network's input image, including its padding.
        """
        stride8 = self.deconv1(embedding, self.own_statistics)  # (B, 512, 2h, 2w)
        stride4 = self.deconv2(stride8, self.own_statistics)  # (B, 256, 4h, 4w)
        stride2 = self.deconv3(stride4, self.own_statistics)  # (B, 128, 8h, 8w)
        x: Tensor = self.base(embedding)  # (B, 512, h, w)
        stages = zip(self._list("samplers"), self._list("blocks"), (stride8, stride4, stride2), strict=True)
        for sampler, block, direct in stages:
            x = sampler(x)  # (B, C, ., .), where `direct` has 2C channels
            x = block(torch.cat([x, _middle(direct, x.shape[1])], dim=1))
        stride1 = self.deconv4(stride2, self.own_statistics)  # (B, 64, 16h, 16w)
        x = self.decoder_head(torch.cat([self.deconv_out(x), stride1], dim=1))
        out: Tensor = self.out_conv(x)
        return out

    def forward(self, embedding: Tensor) -> Tensor:
        """Map an embedding (B, 256, h, w) to maps (B, 3, 16h, 16w) in [0, 1], as the module describes them."""
        return torch.sigmoid(self.logits(embedding))

    def _list(self, name: str) -> nn.ModuleList:
        return cast("nn.ModuleList", self.decoder[name])


def _sampler(upsampling: Upsampling, width_in: int, width_out: int) -> nn.Module:
    """Build a layer that doubles the resolution and changes the width."""
    if upsampling == "bilinear":
        return _Interpolation(width_in, width_out)
    return _Block(nn.ConvTranspose2d(width_in, width_out, 2, stride=2))


def _refinement(width_in: int, width_out: int) -> _Block:
    """Build two 3 x 3 convolutions, each after a normalisation without weights and followed by ReLU."""
    return _Block(
        nn.Sequential(
            nn.InstanceNorm2d(width_in),
            nn.Conv2d(width_in, width_out, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.InstanceNorm2d(width_out),
            nn.Conv2d(width_out, width_out, 3, padding=1),
            nn.ReLU(inplace=True),
        )
    )


def _middle(x: Tensor, channels: int) -> Tensor:
    """Return the middle channels: micro-sam crops along every axis, and its files were trained with this."""
    first = (x.shape[1] - channels) // 2
    return x[:, first : first + channels]
