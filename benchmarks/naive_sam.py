"""SAM as its paper and its released program do it, without any care for cost: the benchmarks' yardstick.

Global attention holds the (heads, 4096, 4096) matrix, relative positions are looked up in every forward, the
decoder repeats the image embedding for every prompt, all four masks are upsampled by transposed
convolutions, and all masks are enlarged to full resolution in float32 before the threshold. The official
state-dict keys are kept, so that `load_state_dict` gives it the very weights of `src_models`;
`check_agreement` makes sure that the comparison is fair.

Prompts are points only, which is all that the benchmarks ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.image_encoder import ViTConfig
from src_models.networks.promptable import PIXEL_MEAN, PIXEL_STD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from src_models.runtime import Runner

_HEADS = 8
_MASK_TOKENS = 4
TOLERANCE = 1e-3
"""Largest difference from `src_models` in float32, of embedding and low-res logits."""


class NaiveNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W), spelled out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`."""
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class NaiveMLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, width_in: int, width: int, width_out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width_in, width), nn.Linear(width, width), nn.Linear(width, width_out)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width_in) to (..., width_out)."""
        return self.layers[2](F.relu(self.layers[1](F.relu(self.layers[0](x)))))


class NaiveFeedForward(nn.Module):
    """Two linear layers, keys ``lin1`` and ``lin2``."""

    def __init__(self, width: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return self.lin2(self.activation(self.lin1(x)))


def lookup(size: int, table: Tensor) -> Tensor:
    """Relative position embeddings (size, size, C) of every query and key along an axis."""
    if len(table) != 2 * size - 1:
        table = F.interpolate(table.T[None], size=2 * size - 1, mode="linear")[0].T
    queries, keys = torch.arange(size)[:, None], torch.arange(size)[None, :]
    return table[queries - keys + size - 1]


class NaiveAttention(nn.Module):
    """Self-attention over a token grid that holds the whole matrix of weights."""

    def __init__(self, width: int, heads: int, grid: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each grid of (B, H, W, C)."""
        b, h, w, c = x.shape
        qkv = self.qkv(x).reshape(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, b * self.heads, h * w, -1).unbind(0)  # (B*nh, H*W, hs)
        weights = (q / math.sqrt(q.shape[-1])) @ k.transpose(1, 2)  # (B*nh, H*W, H*W)
        grid_q = q.reshape(-1, h, w, q.shape[-1])
        by_row = torch.einsum("bhwc,hkc->bhwk", grid_q, lookup(h, self.rel_pos_h))
        by_col = torch.einsum("bhwc,wkc->bhwk", grid_q, lookup(w, self.rel_pos_w))
        weights = weights.view(-1, h, w, h, w) + by_row[..., :, None] + by_col[..., None, :]
        weights = weights.view(-1, h * w, h * w).softmax(-1)
        out = (weights @ v).view(b, self.heads, h, w, -1).permute(0, 2, 3, 1, 4)
        return self.proj(out.reshape(b, h, w, c))


class NaiveBlock(nn.Module):
    """A transformer block; `window` 0 means global attention."""

    def __init__(self, config: ViTConfig, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = NaiveAttention(config.width, config.heads, window or config.img_size // config.patch)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = NaiveFeedForward(config.width, 4 * config.width, nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        y = self.norm1(x)
        x = x + (self._windowed(y) if self.window else self.attn(y))
        return x + self.mlp(self.norm2(x))

    def _windowed(self, x: Tensor) -> Tensor:
        """Attend within windows of the zero-padded grid."""
        (b, h, w, c), s = x.shape, self.window
        x = F.pad(x, (0, 0, 0, -w % s, 0, -h % s))
        rows, cols = x.shape[1] // s, x.shape[2] // s
        x = x.view(b, rows, s, cols, s, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, s, s, c)
        x = self.attn(x).view(b, rows, cols, s, s, c).permute(0, 1, 3, 2, 4, 5).contiguous()
        return x.view(b, rows * s, cols * s, c)[:, :h, :w].contiguous()


class NaivePatches(nn.Module):
    """Squares of the image as tokens."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, H / patch, W / patch, C)."""
        return self.proj(x).permute(0, 2, 3, 1)


class NaiveEncoder(nn.Module):
    """The ViT image encoder."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        grid, out = config.img_size // config.patch, config.out_channels
        self.patch_embed = NaivePatches(config.patch, config.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, config.width))
        windows = (0 if i in config.global_blocks else config.window for i in range(config.depth))
        self.blocks = nn.ModuleList(NaiveBlock(config, window) for window in windows)
        self.neck = nn.Sequential(
            nn.Conv2d(config.width, out, 1, bias=False),
            NaiveNorm2d(out),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            NaiveNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, 256, H / 16, W / 16)."""
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class NaivePE(nn.Module):
    """Positional encoding by random frequencies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, width))

    def forward(self, unit_xy: Tensor) -> Tensor:
        """Encode (..., 2) coordinates in [0, 1]."""
        phase = 2 * math.pi * ((2 * unit_xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


class NaivePrompts(nn.Module):
    """The prompt encoder, for points; ``mask_downscaling`` is there for its keys."""

    def __init__(self, img_size: int, stride: int, width: int = 256) -> None:
        super().__init__()
        self.img_size, self.grid = img_size, img_size // stride
        self.pe_layer = NaivePE(width // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2),
            NaiveNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, 2),
            NaiveNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, width, 1),
        )
        self.no_mask_embed = nn.Embedding(1, width)

    def dense_pe(self) -> Tensor:
        """Positional encoding of every cell, (1, 256, h, w)."""
        centres = (torch.arange(self.grid) + 0.5) / self.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return self.pe_layer(torch.stack([x, y], -1)).permute(2, 0, 1)[None]

    def forward(self, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (N, P + 1, 256) of points (N, P, 2) as (x, y), and dense embeddings (N, 256, h, w)."""
        n = len(coords)
        coords = torch.cat([coords + 0.5, torch.zeros(n, 1, 2)], dim=1)
        labels = torch.cat([labels, -torch.ones(n, 1)], dim=1)
        tokens = self.pe_layer(coords / self.img_size)
        tokens[labels == -1] = self.not_a_point_embed.weight
        for label in (0, 1):
            tokens[labels == label] += self.point_embeddings[label].weight
        dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(n, -1, self.grid, self.grid)
        return tokens, dense


class NaiveCross(nn.Module):
    """Attention of the decoder."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend; all (N, L, C)."""
        split = [
            x.reshape(len(x), x.shape[1], _HEADS, -1).transpose(1, 2)
            for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        ]
        q, k, v = split  # (N, nh, L, hs)
        weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))


class NaiveTwoWayBlock(nn.Module):
    """Tokens attend to themselves and to the image, the image to the tokens."""

    def __init__(self, width: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = NaiveCross(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = NaiveCross(width, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = NaiveFeedForward(width, 2048, nn.ReLU())
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = NaiveCross(width, width // 2)

    def forward(self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Update tokens (N, T, C) and image (N, L, C)."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        q, k = tokens + token_pe, image + image_pe
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(q, k, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        q, k = tokens + token_pe, image + image_pe
        image = self.norm4(image + self.cross_attn_image_to_token(k, q, tokens))
        return tokens, image


class NaiveTransformer(nn.Module):
    """Two blocks and a last look at the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([NaiveTwoWayBlock(width, True), NaiveTwoWayBlock(width, False)])
        self.final_attn_token_to_image = NaiveCross(width, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, image: Tensor, image_pe: Tensor, token_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Run on image (N, C, h, w) and tokens (N, T, C)."""
        image = image.flatten(2).permute(0, 2, 1)
        image_pe = image_pe.flatten(2).permute(0, 2, 1)
        tokens = token_pe
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        tokens = tokens + self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens), image


class NaiveDecoder(nn.Module):
    """The mask decoder, with the image embedding repeated for every prompt."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.transformer = NaiveTransformer(width)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(_MASK_TOKENS, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            NaiveNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(NaiveMLP(width, width, width // 8) for _ in range(_MASK_TOKENS))
        self.iou_prediction_head = NaiveMLP(width, 256, _MASK_TOKENS)

    def forward(self, embedding: Tensor, pe: Tensor, tokens: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Low-res logits (N, 3, 4h, 4w) and predicted IoU (N, 3) of N prompts on one image."""
        n = len(tokens)
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own[None].expand(n, -1, -1), tokens], dim=1)
        image = torch.repeat_interleave(embedding, n, dim=0) + dense
        shape = image.shape
        tokens, image = self.transformer(image, torch.repeat_interleave(pe, n, dim=0), tokens)
        upscaled = self.output_upscaling(image.transpose(1, 2).reshape(shape))  # (N, 32, 4h, 4w)
        weights = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        logits = (weights @ upscaled.flatten(2)).view(n, _MASK_TOKENS, *upscaled.shape[-2:])
        return logits[:, 1:], self.iou_prediction_head(tokens[:, 0])[:, 1:]


class NaiveSam(nn.Module):
    """The whole chain, image to masks.

    Parameters
    ----------
    config : ViTConfig, optional
        Size of the encoder; ViT-B by default.
    """

    def __init__(self, config: ViTConfig | None = None) -> None:
        super().__init__()
        config = config or ViTConfig()
        self.img_size = config.img_size
        self.image_encoder = NaiveEncoder(config)
        self.prompt_encoder = NaivePrompts(config.img_size, config.patch)
        self.mask_decoder = NaiveDecoder()
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)
        self.eval()

    @torch.no_grad()
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Embed an RGB image (H, W, 3)."""
        h, w = self._input_size(image.shape[:2])
        resized = np.array(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR))
        x = torch.as_tensor(resized).permute(2, 0, 1).contiguous()[None]
        x = (x - self.pixel_mean) / self.pixel_std
        return self.image_encoder(F.pad(x, (0, self.img_size - w, 0, self.img_size - h)))

    @torch.no_grad()
    def decode(self, embedding: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Low-res logits and predicted IoU for points (N, P, 2) as (x, y) in the network's frame."""
        tokens, dense = self.prompt_encoder(coords, labels)
        return self.mask_decoder(embedding, self.prompt_encoder.dense_pe(), tokens, dense)

    @torch.no_grad()
    def masks(self, embedding: Tensor, points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Full-resolution masks (N, 3, H, W), one foreground point (y, x) per object in image pixels."""
        size = self._input_size(shape)
        scaled = points * (np.array(size) / np.array(shape))
        coords = torch.as_tensor(scaled[:, None, ::-1].copy(), dtype=torch.float32)
        logits, _ = self.decode(embedding, coords, torch.ones(len(points), 1))
        logits = F.interpolate(logits, (self.img_size, self.img_size), mode="bilinear", align_corners=False)
        logits = logits[..., : size[0], : size[1]]
        logits = F.interpolate(logits, shape, mode="bilinear", align_corners=False)
        return (logits > 0).numpy()

    def _input_size(self, shape: Sequence[int]) -> tuple[int, int]:
        scale = self.img_size / max(shape)
        return int(shape[0] * scale + 0.5), int(shape[1] * scale + 0.5)


@dataclass(frozen=True)
class Agreement:
    """Largest absolute differences between the naive network and ours."""

    embedding: float
    logits: float
    predicted_iou: float


def check_agreement(naive: NaiveSam, ours: Runner, image: NDArray[np.uint8]) -> Agreement:
    """Make sure that both compute the same in float32.

    Parameters
    ----------
    naive : NaiveSam
        With the weights of `ours`.
    ours : Runner
        In float32 on the CPU.
    image : ndarray of uint8
        (H, W, 3), no larger than the network's input.

    Raises
    ------
    AssertionError
        If embedding or logits differ by `TOLERANCE` or more.
    """
    embedding = naive.encode(image)
    difference = largest_difference(embedding, ours.encode([image]), "embedding")
    logits, predicted_iou = check_decoder(naive, ours, embedding)
    return Agreement(difference, logits, predicted_iou)


def check_decoder(naive: NaiveSam, ours: Runner, embedding: Tensor) -> tuple[float, float]:
    """As `check_agreement`, for the decoder alone: differences of logits and predicted IoU."""
    side = naive.img_size
    coords = np.array([[[0.3, 0.4]], [[0.8, 0.1]], [[0.5, 0.9]]], np.float32) * side
    labels = np.ones((3, 1), np.int64)
    logits, predicted_iou = naive.decode(embedding, torch.from_numpy(coords), torch.from_numpy(labels))
    decoded = ours.decode(embedding, list(zip(coords, labels, strict=True)))
    return (
        largest_difference(logits, decoded.logits, "logits"),
        largest_difference(predicted_iou, decoded.predicted_iou, "predicted IoU"),
    )


def largest_difference(naive: Tensor, ours: Tensor, what: str) -> float:
    """Largest absolute difference, which must stay below `TOLERANCE`."""
    found = float((naive - ours).abs().max())
    if not found < TOLERANCE:
        raise AssertionError(f"{what} of naive and ours differ by {found:.2g}, not below {TOLERANCE:g}")
    return found
