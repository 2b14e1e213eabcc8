"""SAM 2 as its paper describes it, without any care for cost: the benchmarks' yardstick.

Windows are padded before they are projected, attention holds all its weights, all levels of the feature pyramid are
computed at full width, and every object passes the video on its own, with its own encoding of every frame. The weights
are those of a network of `src_models`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.image_encoder import from_windows, to_windows
from src_models.networks.sam2.hiera import HieraBlock, WindowAttention
from src_models.networks.sam2.mask_decoder import pack
from src_models.networks.sam2.memory_attention import MemoryAttentionLayer, RotaryAttention
from src_models.networks.sam2.network import Sam2
from src_models.networks.sam2.positions import rotate

if TYPE_CHECKING:
    from src_models.networks.sam2.hiera import TrunkMLP


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention that holds the whole matrix of weights."""
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return weights.softmax(-1) @ v


class NaiveWindowAttention(WindowAttention):
    """Attention in zero-padded windows."""

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, H, W, C)."""
        shape, window = (x.shape[1], x.shape[2]), self.window
        windows = to_windows(x, window) if window else x
        n, h, w, _ = windows.shape
        q, k, v = self.qkv(windows).view(n, h, w, 3, -1).unbind(3)
        if self.pools:
            q = F.max_pool2d(q.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
            shape, window = (shape[0] // 2, shape[1] // 2), window // 2
        side = q.shape[1:3]
        q, k, v = (t.reshape(n, -1, self.heads, t.shape[-1] // self.heads).transpose(1, 2) for t in (q, k, v))
        out: Tensor = self.proj(attention(q, k, v).transpose(1, 2).reshape(n, *side, -1))
        return from_windows(out, window, shape) if window else out


class NaiveMLP(nn.Module):
    """Feed-forward part of a block, all tokens at once."""

    def __init__(self, mlp: TrunkMLP) -> None:
        super().__init__()
        self.layers = mlp.layers

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.layers[1](F.gelu(self.layers[0](x)))
        return out


class NaiveRotaryAttention(RotaryAttention):
    """Attention to the memory that projects all values and holds all weights."""

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, turns: Tensor, unrotated: int = 0) -> Tensor:
        """Attend as `RotaryAttention.forward`."""
        k = self.k_proj(keys)
        placed = k.shape[1] - unrotated
        k = torch.cat([rotate(k[:, :placed], turns), k[:, placed:]], dim=1)
        out: Tensor = self.out_proj(attention(rotate(self.q_proj(queries), turns), k, self.v_proj(values)))
        return out


class NaiveSam2(Sam2):
    """A network that computes the same as another one, the expensive way.

    Parameters
    ----------
    net : Sam2
        Provides size and weights.
    """

    def __init__(self, net: Sam2) -> None:
        super().__init__(net.config, net.kind)
        for child in self.image_encoder.trunk.blocks:
            block = cast("HieraBlock", child)
            attn = block.attn
            widths = attn.qkv.in_features, attn.proj.in_features
            block.attn = NaiveWindowAttention(*widths, attn.heads, attn.window, attn.pools)
            block.mlp = NaiveMLP(block.mlp)  # type: ignore[assignment]
        for child in self.memory_attention.layers:
            layer = cast("MemoryAttentionLayer", child)
            layer.self_attn = NaiveRotaryAttention()
            layer.cross_attn_image = NaiveRotaryAttention(64)
        self.load_state_dict(net.state_dict())
        self.eval().requires_grad_(False)

    def embed_frame(self, image: Tensor) -> Tensor:
        """Embed frames, with all levels of the pyramid at full width."""
        stages = [stage.permute(0, 3, 1, 2) for stage in self.image_encoder.trunk(image)]
        levels = [self.image_encoder.neck.lateral(i)(stage) for i, stage in enumerate(stages)]
        coarse = levels[2] + F.interpolate(levels[3], scale_factor=2.0, mode="nearest")
        half, quarter = self.sam_mask_decoder.conv_s1(levels[1]), self.sam_mask_decoder.conv_s0(levels[0])
        return pack(*(x.permute(0, 2, 3, 1).contiguous() for x in (coarse, half, quarter)))
