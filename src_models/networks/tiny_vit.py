"""MobileSAM's image encoder: TinyViT-5M with its last stages at stride 16 (Zhang et al., 2023; Wu et al., 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.image_encoder import from_windows, to_windows
from src_models.networks.layers import ConvNorm, neck

_WIDTHS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)


class Stem(nn.Module):
    """Two strided convolutions (keys ``seq.0``, ``seq.2``): stride 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, width // 2, 3, 2), nn.GELU(), ConvNorm(width // 2, width, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, H / 4, W / 4)."""
        out: Tensor = self.seq(x)
        return out


class MBConv(nn.Module):
    """Inverted residual with a depth-wise 3 x 3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, 4 * width)
        self.conv2 = ConvNorm(4 * width, 4 * width, 3, groups=4 * width)
        self.conv3 = ConvNorm(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = F.gelu(self.conv1(x))
        y = F.gelu(self.conv2(y))
        return F.gelu(x + self.conv3(y))


class PatchMerging(nn.Module):
    """Change the width between stages, with stride 2, or 1 before the last stage."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width_in, width_out)
        self.conv2 = ConvNorm(width_out, width_out, 3, stride, groups=width_out)
        self.conv3 = ConvNorm(width_out, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = F.gelu(self.conv1(x))
        out: Tensor = self.conv3(F.gelu(self.conv2(y)))
        return out


class BiasedAttention(nn.Module):
    """Self-attention within a window, with a learned bias for each head and absolute offset (dy, dx)."""

    bias_index: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        y, x = y.flatten(), x.flatten()
        index = (y[:, None] - y).abs() * window + (x[:, None] - x).abs()
        self.register_buffer("bias_index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each window of `x` (B, N, C)."""
        b, n, c = x.shape
        qkv = self.qkv(self.norm(x)).view(b, n, self.heads, 3, c // self.heads)
        q, k, v = qkv.permute(3, 0, 2, 1, 4).unbind(0)  # (B, nh, N, hs)
        bias = self.attention_biases[:, self.bias_index].to(q.dtype)  # (nh, N, N)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].expand(b, -1, -1, -1))
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(b, n, c))
        return projected


class NormedMLP(nn.Module):
    """Layer norm and two linear layers (keys ``norm``, ``fc1``, ``fc2``)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to the same shape."""
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class TinyViTBlock(nn.Module):
    """Windowed attention, a depth-wise convolution, and an MLP."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = BiasedAttention(width, heads, window)
        self.local_conv = ConvNorm(width, width, 3, groups=width)
        self.mlp = NormedMLP(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        h, w, c = x.shape[1:]
        windows = to_windows(x, self.window)
        y = self.attn(windows.flatten(1, 2)).view(-1, self.window, self.window, c)
        x = x + from_windows(y, self.window, (h, w))
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out: Tensor = x + self.mlp(x)
        return out


class Stage(nn.Module):
    """Stage of the encoder (keys ``blocks``, ``downsample``): convolutions in the first, attention in the others."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.has_attention = index > 0
        width, depth = _WIDTHS[index], _DEPTHS[index]
        if self.has_attention:
            self.blocks = nn.ModuleList(TinyViTBlock(width, _HEADS[index], _WINDOWS[index]) for _ in range(depth))
        else:
            self.blocks = nn.ModuleList(MBConv(width) for _ in range(depth))
        if index + 1 < len(_WIDTHS):
            stride = 1 if index == len(_WIDTHS) - 2 else 2
            self.downsample = PatchMerging(width, _WIDTHS[index + 1], stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the next stage's shape."""
        if self.has_attention:
            x = x.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        if self.has_attention:
            x = x.permute(0, 3, 1, 2)
        return self.downsample(x) if hasattr(self, "downsample") else x


class TinyViT(nn.Module):
    """MobileSAM's image encoder: map a normalised image to its embedding.

    Parameters
    ----------
    img_size : int
        Side of the square input, in pixels.
    """

    def __init__(self, img_size: int = 1024) -> None:
        super().__init__()
        self.img_size = img_size
        self.stride = 16
        self.patch_embed = Stem(_WIDTHS[0])
        self.layers = nn.ModuleList(Stage(i) for i in range(len(_WIDTHS)))
        self.norm_head = nn.LayerNorm(_WIDTHS[-1])  # of the unused classifier; kept so that checkpoints load unchanged
        self.head = nn.Linear(_WIDTHS[-1], 1000)
        self.neck = neck(_WIDTHS[-1], 256)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W), normalised, to the embedding (B, 256, H / 16, W / 16)."""
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        out: Tensor = self.neck(x)
        return out
