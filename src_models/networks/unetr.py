"""micro-sam's instance decoder, a UNETR that reads SAM's embedding, under the key names of its published files.

From one embedding it draws three maps of the whole window (Archit et al., 2025, "Segment Anything for Microscopy",
after Hatamizadeh et al., 2022, "UNETR"). What they mean follows from what they were trained on; all are in [0, 1]:

- channel 0, foreground: probability that a pixel is of an object.
- channel 1, distance to the centre: 0 at the object's centre (its centroid, or its deepest pixel where the centroid
  lies outside), growing with Euclidean distance, 1 at the object's farthest pixel.
- channel 2, distance to the boundary, upside down: 0 at the object's deepest pixel, 1 on its outermost pixels.

Both distances are divided by their largest value in each object, so they are small inside large and small objects
alike. Targets are 1 in the background, but the loss masked it out: there, the two channels mean nothing and have to
be cut with channel 0. The image's edge is no boundary.

Two kinds of files exist. They differ in how resolution is doubled: bilinear interpolation and a 1 x 1 convolution
(micro-sam 1.6 and later), or a transposed convolution (before).
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
    """Any layer, with ``block`` in its keys."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        out: Tensor = self.block(x)
        return out


class _Interpolation(nn.Module):
    """Twice the resolution by bilinear interpolation, and another width by a 1 x 1 convolution."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width_in, H, W) to (B, width_out, 2H, 2W)."""
        # micro-sam interpolates first. The two commute, since interpolation weights add up to 1, and this way
        # round the convolution has a quarter of the work.
        return F.interpolate(self.conv(x), scale_factor=2, mode="bilinear", align_corners=False)


class _Widening(nn.Module):
    """A step from the embedding towards the image: twice the resolution, 3 x 3 convolution, normalisation, ReLU."""

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
    """SAM's embedding to maps of foreground, distance to the centre and distance to the boundary.

    The module's docstring says what the maps mean. micro-sam brings them to the image as SAM's masks: it cuts off
    what belongs to the padding of the network's input, then scales bilinearly. It makes objects of them by a seeded
    watershed. By default it smooths with Gaussians, of sigma 1 px for channel 0 and 1.6 px for the others. Objects
    are where channel 0 exceeds 0.5; their seeds are the connected parts where channels 1 and 2 both are under 0.5
    as well; the watershed floods channel 2.

    Parameters
    ----------
    upsampling : {"bilinear", "transposed"}
        How resolution is doubled; 9,591,235 or 11,028,931 parameters.
    own_statistics : bool
        How to normalise the steps from the embedding to the image when not training: with the statistics of each
        image, or with the averages stored in training. The published files were tuned and measured in the first
        way, because micro-sam leaves its decoder in training mode (micro-sam issue 1325) and feeds images singly.

    Attributes
    ----------
    upsampling : {"bilinear", "transposed"}
        As given.
    own_statistics : bool
        As given; may be changed at any time.
    """

    def __init__(self, upsampling: Upsampling = "bilinear", own_statistics: bool = True) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.own_statistics = own_statistics
        wide, fine = _WIDTHS[0], _WIDTHS[-1]
        self.deconv1 = _Widening(_sampler(upsampling, 256, 512), 512)
        self.deconv2 = _Widening(_sampler(upsampling, 512, 256), 256)
        self.deconv3 = _Widening(_sampler(upsampling, 256, 128), 128)
        self.deconv4 = _Widening(_sampler(upsampling, 128, 64), 64)
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
            On the grid of the network's input image, its padding included.
        """
        own = self.own_statistics
        at8 = self.deconv1(embedding, own)  # (B, 512, 2h, 2w)
        at4 = self.deconv2(at8, own)  # (B, 256, 4h, 4w)
        at2 = self.deconv3(at4, own)  # (B, 128, 8h, 8w)
        x: Tensor = self.base(embedding)  # (B, 512, h, w)
        stages = zip(self._list("samplers"), self._list("blocks"), (at8, at4, at2), strict=True)
        for sampler, block, direct in stages:
            x = sampler(x)  # (B, C, ., .), where `direct` has 2C channels
            x = block(torch.cat([x, _middle(direct, x.shape[1])], dim=1))
        at1 = self.deconv4(at2, own)  # (B, 64, 16h, 16w)
        x = self.decoder_head(torch.cat([self.deconv_out(x), at1], dim=1))
        out: Tensor = self.out_conv(x)
        return out

    def forward(self, embedding: Tensor) -> Tensor:
        """Map an embedding (B, 256, h, w) to maps (B, 3, 16h, 16w) in [0, 1]; see the module for their meaning."""
        return torch.sigmoid(self.logits(embedding))

    def _list(self, name: str) -> nn.ModuleList:
        return cast("nn.ModuleList", self.decoder[name])


def _sampler(upsampling: Upsampling, width_in: int, width_out: int) -> nn.Module:
    """Twice the resolution, and another width."""
    if upsampling == "bilinear":
        return _Interpolation(width_in, width_out)
    return _Block(nn.ConvTranspose2d(width_in, width_out, 2, stride=2))


def _refinement(width_in: int, width_out: int) -> _Block:
    """Two 3 x 3 convolutions, each with a normalisation (without weights) before and a ReLU behind it."""
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
    """Take the middle channels: micro-sam crops along every axis, so its files are trained for this."""
    first = (x.shape[1] - channels) // 2
    return x[:, first : first + channels]
