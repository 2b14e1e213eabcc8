"""SAM's image encoder: a ViT with windowed and global attention and decomposed relative positions.

Numerically the published network (Kirillov et al., 2023; Li et al., 2022, "Exploring Plain Vision Transformer
Backbones for Object Detection"), but it never holds a (tokens x tokens) matrix for a global block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.layers import DropPath, FeedForward, neck

_QUERY_ROWS = 4  # rows of the token grid per attention call: the bias of 4 x 64 queries fits into the cache


@dataclass(frozen=True)
class ViTConfig:
    """Size of an image encoder; ViT-B by default."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    img_size: int = 1024
    patch: int = 16
    window: int = 14
    out_channels: int = 256
    drop_path: float = 0.0


class PatchEmbed(nn.Module):
    """Cut the image into non-overlapping squares and project each to a token."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, H / patch, W / patch, C)."""
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1)


def relative_positions(size: int, table: Tensor, cropped: bool = False) -> Tensor:
    """Look up the relative position embedding of every (query, key) pair along one axis.

    Parameters
    ----------
    size : int
        Number of positions along the axis.
    table : Tensor
        (L, C) learned embeddings of the offsets -(L - 1) / 2 ... (L - 1) / 2; resized linearly when L is not
        2 * size - 1.
    cropped : bool
        The axis is a part of the learned axis: take its short offsets without resizing.

    Returns
    -------
    Tensor
        (size, size, C); entry [q, k] belongs to the offset q - k.

    Examples
    --------
    >>> relative_positions(2, torch.tensor([[-1.0], [0.0], [1.0]]))[..., 0]
    tensor([[ 0., -1.],
            [ 1.,  0.]])
    >>> relative_positions(1, torch.tensor([[-1.0], [5.0], [1.0]]), cropped=True)
    tensor([[[5.]]])
    """
    wanted = 2 * size - 1
    if cropped and table.shape[0] > wanted:
        table = table[(table.shape[0] - wanted) // 2 :][:wanted]
    if table.shape[0] != wanted:
        table = F.interpolate(table.T[None], size=wanted, mode="linear")[0].T
    positions = torch.arange(size, device=table.device)
    return table[positions[:, None] - positions[None, :] + size - 1]


class GridAttention(nn.Module):
    """Multi-head self-attention over a token grid, with decomposed relative positions."""

    def __init__(self, width: int, heads: int, grid: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))

    def forward(self, x: Tensor, cropped: bool = False) -> Tensor:
        """Attend within each grid of `x` (B, H, W, C); a `cropped` grid keeps the distances of the whole grid."""
        b, h, w, c = x.shape
        qkv = self.qkv(x).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # (B, nh, H*W, hs)
        rel_h = relative_positions(h, self.rel_pos_h, cropped).to(q.dtype)
        rel_w = relative_positions(w, self.rel_pos_w, cropped).to(q.dtype)
        grid_q = q.reshape(b, self.heads, h, w, -1)
        rows = h if h * w <= 1024 else _QUERY_ROWS
        parts = []
        for top in range(0, h, rows):
            part = grid_q[:, :, top : top + rows]  # (B, nh, r, W, hs), not yet scaled
            bias_h = torch.einsum("bnrwc,rkc->bnrwk", part, rel_h[top : top + rows])
            bias_w = torch.einsum("bnrwc,wkc->bnrwk", part, rel_w)
            bias = (bias_h[..., :, None] + bias_w[..., None, :]).flatten(-2).flatten(2, 3)  # (B, nh, r*W, H*W)
            parts.append(F.scaled_dot_product_attention(part.flatten(2, 3), k, v, attn_mask=bias))
        out = torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
        out = out.transpose(1, 2).reshape(b, h, w, c)
        projected: Tensor = self.proj(out)
        return projected


def to_windows(x: Tensor, side: int) -> Tensor:
    """Cut (B, H, W, C) into (B * n, side, side, C), zero-padded at the bottom and right.

    >>> to_windows(torch.zeros(2, 3, 5, 1), 4).shape
    torch.Size([4, 4, 4, 1])
    """
    b, h, w, c = x.shape
    x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side))
    rows, cols = x.shape[1] // side, x.shape[2] // side
    x = x.view(b, rows, side, cols, side, c).transpose(2, 3)
    return x.reshape(b * rows * cols, side, side, c)


def from_windows(windows: Tensor, side: int, shape: tuple[int, int]) -> Tensor:
    """Undo `to_windows` for a grid of `shape` (H, W)."""
    h, w = shape
    rows, cols = -(-h // side), -(-w // side)
    x = windows.view(-1, rows, cols, side, side, windows.shape[-1]).transpose(2, 3)
    return x.reshape(-1, rows * side, cols * side, windows.shape[-1])[:, :h, :w]


class ViTBlock(nn.Module):
    """Transformer block; `window` 0 means global attention."""

    def __init__(self, config: ViTConfig, window: int, drop_path: float) -> None:
        super().__init__()
        grid = window or config.img_size // config.patch
        self.window = window
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = GridAttention(config.width, config.heads, grid)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = FeedForward(config.width, 4 * config.width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, cropped: bool = False) -> Tensor:
        """Map (B, H, W, C) to the same shape; `cropped` as in `GridAttention.forward`."""
        y = self.norm1(x)
        if self.window:
            shape = (x.shape[1], x.shape[2])
            y = from_windows(self.attn(to_windows(y, self.window)), self.window, shape)
        else:
            y = self.attn(y, cropped)
        x = x + self.drop_path(y)
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class ImageEncoderViT(nn.Module):
    """SAM's ViT: map a normalised image to its embedding.

    Parameters
    ----------
    config : ViTConfig
        Size of the network.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.img_size = config.img_size
        self.stride = config.patch
        grid = config.img_size // config.patch
        self.patch_embed = PatchEmbed(config.patch, config.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, config.width))
        self.blocks = nn.ModuleList(
            ViTBlock(
                config,
                0 if i in config.global_blocks else config.window,
                config.drop_path * i / max(config.depth - 1, 1),
            )
            for i in range(config.depth)
        )
        self.neck = neck(config.width, config.out_channels)

    def forward(self, x: Tensor, origin: tuple[int, int] | None = None) -> Tensor:
        """Map (B, 3, H, W), normalised, to the embedding (B, 256, H / 16, W / 16).

        An input smaller than `img_size` is a smaller image, with resized positions; with `origin` (y, x), in patches,
        it is a crop of a whole image at that origin.
        """
        x = self.patch_embed(x)
        h, w = x.shape[1], x.shape[2]
        if origin is None:
            x = x + self._positions(h, w)
        else:
            x = x + self.pos_embed[:, origin[0] : origin[0] + h, origin[1] : origin[1] + w]
        for block in self.blocks:
            x = block(x, origin is not None)
        out: Tensor = self.neck(x.permute(0, 3, 1, 2))
        return out

    def _positions(self, h: int, w: int) -> Tensor:
        """Position embedding (1, h, w, C); resized when the input is not `img_size` on a side."""
        if (h, w) == tuple(self.pos_embed.shape[1:3]):
            return self.pos_embed
        resized = F.interpolate(self.pos_embed.permute(0, 3, 1, 2), size=(h, w), mode="bilinear", align_corners=False)
        return resized.permute(0, 2, 3, 1)
