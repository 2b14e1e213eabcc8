"""Hiera, the image encoder's trunk of SAM 2: four stages of windowed and global attention.

Numerically the published network (Ryali et al., 2023, "Hiera: A Hierarchical Vision Transformer without the
Bells-and-Whistles"; Bolya et al., 2023, "Window Attention is Bugged"). Tokens that only pad a window are never
projected, and no matrix of all pairs of tokens is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.image_encoder import from_windows

if TYPE_CHECKING:
    from src_models.networks.sam2.config import Sam2Config

PATCH = 4  # side of a token in pixels
_CHUNK = 1 << 20  # hidden values of an MLP computed together on a CPU: they stay in its cache


class TrunkMLP(nn.Module):
    """Feed-forward part of a block (keys ``layers.0``, ``layers.1``)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = nn.ModuleList([nn.Linear(width, hidden), nn.Linear(hidden, width)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        first, second = self.layers
        tokens = x.reshape(-1, x.shape[-1])
        if x.device.type != "cpu" or torch.is_grad_enabled():
            out: Tensor = second(F.gelu(first(tokens)))
            return out.view(x.shape)
        parts = tokens.split(max(1, _CHUNK // self.hidden))
        return torch.cat([second(F.gelu(first(part))) for part in parts]).view(x.shape)


class WindowAttention(nn.Module):
    """Multi-head self-attention in windows or over the whole grid; its queries may be pooled.

    Parameters
    ----------
    width, width_out : int
        Channels before and after.
    heads : int
        Number of heads.
    window : int
        Side of a window, in tokens; 0 for the whole grid.
    pools : bool
        Reduce the grid by two along each axis.
    """

    def __init__(self, width: int, width_out: int, heads: int, window: int, pools: bool) -> None:
        super().__init__()
        self.heads, self.window, self.pools = heads, window, pools
        self.qkv = nn.Linear(width, 3 * width_out)
        self.proj = nn.Linear(width_out, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, H, W, C); a pooling layer returns (B, H / 2, W / 2, C_out)."""
        b, h, w, _ = x.shape
        side = (self.window, self.window) if self.window else (h, w)
        q, k, v = self._windows(x, side)  # (n, side, side, nh * hs) each
        shape, query_side = (h, w), side
        if self.pools:
            q = pooled(q)
            shape, query_side = (h // 2, w // 2), (side[0] // 2, side[1] // 2)
        q, k, v = (t.reshape(t.shape[0], -1, self.heads, t.shape[-1] // self.heads).transpose(1, 2) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)  # (n, nh, L, hs)
        out = out.transpose(1, 2).reshape(-1, *query_side, self.proj.in_features)
        if self.window:
            out = from_windows(out, query_side[0], shape)
        projected: Tensor = self.proj(out)
        return projected.view(b, *shape, -1)

    def _windows(self, x: Tensor, side: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Project tokens and cut them into windows.

        Padding tokens are zero before the projection, so that their queries, keys and values are its bias.
        """
        b, h, w, _ = x.shape
        rows, cols = -(-h // side[0]), -(-w // side[1])
        if (rows * side[0], cols * side[1]) == (h, w):
            qkv = self.qkv(_cut(x, side))  # cut first: queries, keys and values are three times as large
        else:
            projected = self.qkv(x)
            padded = self.qkv.bias.to(projected.dtype).expand(b, rows * side[0], cols * side[1], -1).clone()
            padded[:, :h, :w] = projected
            qkv = _cut(padded, side)
        q, k, v = qkv.unflatten(-1, (3, -1)).unbind(3)
        return q, k, v


def _cut(x: Tensor, side: tuple[int, int]) -> Tensor:
    """Cut (B, H, W, C) into windows of a size that divides it: (n, *side, C)."""
    b, h, w, c = x.shape
    parts = x.view(b, h // side[0], side[0], w // side[1], side[1], c).transpose(2, 3)
    return parts.reshape(-1, *side, c)


def pooled(x: Tensor) -> Tensor:
    """Return the maximum of each square of two by two tokens: (B, H, W, C) to (B, H / 2, W / 2, C)."""
    upper = torch.maximum(x[:, 0::2, 0::2], x[:, 0::2, 1::2])
    return torch.maximum(upper, torch.maximum(x[:, 1::2, 0::2], x[:, 1::2, 1::2]))


class HieraBlock(nn.Module):
    """Transformer block; the first block of a stage pools its queries and doubles the channels."""

    def __init__(self, width: int, width_out: int, heads: int, window: int, pools: bool) -> None:
        super().__init__()
        self.pools = pools
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = WindowAttention(width, width_out, heads, window, pools)
        self.norm2 = nn.LayerNorm(width_out, eps=1e-6)
        self.mlp = TrunkMLP(width_out, 4 * width_out)
        if width != width_out:
            self.proj = nn.Linear(width, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape, or to (B, H / 2, W / 2, 2 C)."""
        y = self.norm1(x)
        if self.pools:
            x = pooled(self.proj(y))
        x = x + self.attn(y)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchEmbed(nn.Module):
    """Overlapping patches of the image as tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 7, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, H / 4, W / 4, C)."""
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1)


class Hiera(nn.Module):
    """Map a normalised image to the features of four stages.

    Parameters
    ----------
    config : Sam2Config
        Size of the network.
    """

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.img_size = config.img_size
        self.patch_embed = PatchEmbed(config.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.width, config.background, config.background))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, config.width, config.windows[0], config.windows[0]))
        self.blocks = nn.ModuleList()
        self.stage_ends: list[int] = []
        for stage, depth in enumerate(config.blocks):
            width, heads = config.width << stage, config.heads << stage
            for i in range(depth):
                pools = stage > 0 and i == 0
                window = config.windows[stage - 1 if pools else stage]  # a pooling block keeps the earlier windows
                if len(self.blocks) in config.global_blocks:
                    window = 0
                self.blocks.append(HieraBlock(width // 2 if pools else width, width, heads, window, pools))
            self.stage_ends.append(len(self.blocks) - 1)

    def forward(self, x: Tensor, origin: tuple[int, int] | None = None) -> list[Tensor]:
        """Map (B, 3, S, S) to the stages' features (B, S / 4, S / 4, C), (B, S / 8, S / 8, 2 C), and so on.

        With `origin` (y, x), in patches of four pixels, the input is a crop of a whole image at that origin.
        """
        x = self.patch_embed(x)
        h, w = x.shape[1], x.shape[2]
        if origin is None:
            x = x + self._positions(h, w)
        else:
            side = self.img_size // PATCH
            x = x + self._positions(side, side)[:, origin[0] : origin[0] + h, origin[1] : origin[1] + w]
        stages = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.stage_ends:
                stages.append(x)
        return stages

    def _positions(self, h: int, w: int) -> Tensor:
        """Return the sum of background and window positions, (1, h, w, C)."""
        background = F.interpolate(self.pos_embed, size=(h, w), mode="bicubic")
        side = self.pos_embed_window.shape[-1]
        tiled = self.pos_embed_window.repeat(1, 1, h // side, w // side)
        return (background + tiled).permute(0, 2, 3, 1)
