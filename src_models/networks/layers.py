"""Layers that several networks share."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Callable


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of an image, one pixel at a time.

    Parameters
    ----------
    channels : int
        Number of channels C of the (B, C, H, W) input.
    eps : float
        Added to the variance; SAM uses 1e-6.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (B, C, H, W); channels-last in memory is fastest."""
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)  # (B, C, H, W)


class MLP(nn.Module):
    """Linear layers with ReLU between them (keys ``layers.N``), none after the last."""

    def __init__(self, width_in: int, width: int, width_out: int, depth: int) -> None:
        super().__init__()
        widths = [width_in, *[width] * (depth - 1), width_out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width_in) to (..., width_out)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class FeedForward(nn.Module):
    """Feed-forward part of a transformer block (keys ``lin1``, ``lin2``)."""

    def __init__(self, width: int, hidden: int, activation: Callable[[Tensor], Tensor] = F.gelu) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        out: Tensor = self.lin2(self.activation(self.lin1(x)))
        return out


def neck(width_in: int, width_out: int) -> nn.Sequential:
    """Build the two convolutions that end an image encoder, each with its normalisation."""
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 1, bias=False),
        LayerNorm2d(width_out),
        nn.Conv2d(width_out, width_out, 3, padding=1, bias=False),
        LayerNorm2d(width_out),
    )


def quarter_resolution(width_in: int, widths: tuple[int, int], width_out: int) -> nn.Sequential:
    """Build two strided convolutions, each with normalisation and GELU, and a projection to `width_out`."""
    first, second = widths
    return nn.Sequential(
        nn.Conv2d(width_in, first, 2, 2),
        LayerNorm2d(first),
        nn.GELU(),
        nn.Conv2d(first, second, 2, 2),
        LayerNorm2d(second),
        nn.GELU(),
        nn.Conv2d(second, width_out, 1),
    )


def depthwise(x: Tensor, kernel: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> Tensor:
    """Convolve each channel separately, in the precision with the faster gradient.

    oneDNN's bfloat16 gradient of large or strided depth-wise kernels is up to ten times slower than its float32 one.

    Parameters
    ----------
    x : Tensor
        (B, C, H, W), channels last in memory.
    kernel : Tensor
        (C, 1, k, k).
    bias : Tensor or None
        (C,).
    conv : nn.Conv2d
        Provides stride and padding.
    """

    def run(x: Tensor) -> Tensor:
        return F.conv2d(x, kernel, bias, conv.stride, conv.padding, groups=conv.groups)

    slow = conv.kernel_size[0] > 3 or conv.stride[0] > 1
    if not (slow and torch.is_grad_enabled() and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
        return run(x)
    with torch.autocast("cpu", enabled=False):
        return run(x.float()).to(x.dtype)


class DepthwiseConv2d(nn.Conv2d):
    """Depth-wise convolution of stride 1 that keeps the size."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__(width, width, kernel, padding=kernel // 2, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return depthwise(x, self.weight, self.bias, self)


class ConvNorm(nn.Module):
    """Convolution without bias, followed by batch normalisation (keys ``c`` and ``bn``)."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(width_out, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalise (B, width_in, H, W)."""
        if isinstance(self.bn, nn.BatchNorm2d) and not self.bn.training and torch.is_grad_enabled():
            return self._folded(x, self.bn)
        out: Tensor = self.bn(self.c(x))
        return out

    def _folded(self, x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        """Convolve with the fixed normalisation folded into the kernel, differentiably, which saves a pass."""
        mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        gain = norm.weight * torch.rsqrt(variance + norm.eps)
        bias = norm.bias - mean * gain
        kernel, conv = self.c.weight * gain[:, None, None, None], self.c
        if conv.kernel_size == (1, 1) and conv.stride == (1, 1):  # the gradient of a matrix product is faster
            return F.linear(x.permute(0, 2, 3, 1), kernel[:, :, 0, 0], bias).permute(0, 3, 1, 2)
        return (
            depthwise(x, kernel, bias, conv)
            if conv.groups > 1
            else F.conv2d(x, kernel, bias, conv.stride, conv.padding)
        )

    def fuse(self) -> None:
        """Fold the normalisation into the convolution, in place; for inference only."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.c = fuse_conv_bn_eval(self.c, self.bn)
            self.bn = nn.Identity()


class DropPath(nn.Module):
    """Stochastic depth: drop a residual branch for some samples during training.

    Parameters
    ----------
    rate : float
        Probability that the branch of a sample is dropped; the others are scaled by 1 / (1 - rate), which keeps
        the expectation (Huang et al., 2016, "Deep Networks with Stochastic Depth").
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, or zero for a random share of its first axis in training."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1.0 - self.rate)
        return x * keep / (1.0 - self.rate)
