"""Attention between the few tokens of prompts and the many tokens of an image, in forms that are fast on a CPU.

All compute multi-head attention; they differ in the order of the products. `packed_attention` keeps the heads of the
many tokens together. `attend_to_image` and `attend_to_tokens` multiply the projections into the few tokens instead of
the image.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 8
_FEW = 64  # at most this many tokens are those of a prompt, not of the image
_FOLDED = 20  # up to this many tokens, products with all heads of the tokens are cheaper than projections of the image


class DownscaledAttention(nn.Module):
    """Multi-head attention with an inner width that may be smaller than the width of its input."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend over projected inputs.

        Parameters
        ----------
        q, k, v : Tensor
            (N or 1, L, inner).
        mask : Tensor, optional
            (N, 1, 1, L_keys) bool, False for keys to ignore.

        Returns
        -------
        Tensor
            (N, L_queries, width).
        """
        if q.device.type == "cpu" and min(q.shape[1], k.shape[1]) <= _FEW < max(q.shape[1], k.shape[1]):
            packed: Tensor = self.out_proj(packed_attention(q, k, v, mask))
            return packed
        n = max(q.shape[0], k.shape[0])
        heads = [x.view(x.shape[0], x.shape[1], HEADS, -1).transpose(1, 2) for x in (q, k, v)]
        q, k, v = (x.expand(n, -1, -1, -1) for x in heads)  # (N, nh, L, hs)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return projected

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Project (N, L, width) inputs and attend; `mask` as in `attend`."""
        return self.attend(self.q_proj(q), self.k_proj(k), self.v_proj(v), mask)


def packed_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Compute multi-head attention between few and many tokens, without splitting the many into heads.

    The few tokens are laid out block-diagonally, in one row for each token and head with zeros outside the channels
    of the head, so that all heads are a single matrix product with the many tokens in their memory layout. This costs
    eight times the multiplications of a small product and saves its transpositions: on a CPU it is about twice as fast
    as `scaled_dot_product_attention`, four times with its gradient.

    Parameters
    ----------
    q, k, v, mask : Tensor
        As `DownscaledAttention.attend`.

    Returns
    -------
    Tensor
        (N, L_queries, inner), heads side by side.
    """
    inner = q.shape[-1]
    blocks = _head_blocks(q)
    n = max(q.shape[0], k.shape[0])
    if k.shape[1] > q.shape[1]:  # few queries
        scores = _product(spread(scaled(q)), k.transpose(1, 2), n)  # (N, Lq * nh, Lk)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, 0], -math.inf)
        out = _product(scores.softmax(-1), v, n)
        return (out.view(n, q.shape[1], HEADS, inner) * blocks).sum(2)
    scores = _product(q, spread(scaled(k)).transpose(1, 2), n).view(n, q.shape[1], k.shape[1], HEADS)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, 0, 0, None, :, None], -math.inf)
    return _product(scores.softmax(2).flatten(2), spread(v), n)


def _product(a: Tensor, b: Tensor, n: int) -> Tensor:
    """Multiply batches of matrices, (n, L, K) by (n, K, M); either may be shared, with a first axis of 1."""
    if a.shape[0] == n and b.shape[0] == 1:
        return a @ b[0]
    return torch.bmm(a.expand(n, -1, -1), b.expand(n, -1, -1))


def project_together(x: Tensor, pe: Tensor, with_pe: list[nn.Linear], plain: nn.Linear) -> list[Tensor]:
    """Apply several linear layers to the same image tokens in a single matrix product.

    Parameters
    ----------
    x : Tensor
        (N, L, C) image tokens.
    pe : Tensor
        (1, L, C) their positional encoding.
    with_pe : list of nn.Linear
        Layers applied to ``x + pe``; by linearity the product with the encoding is computed once for all N.
    plain : nn.Linear
        Layer applied to `x`.

    Returns
    -------
    list of Tensor
        (N, L, inner) for each layer of `with_pe`, then for `plain`.
    """
    layers = [*with_pe, plain]
    out = F.linear(x, torch.cat([layer.weight for layer in layers]))
    parts = list(out.split([layer.out_features for layer in layers], dim=-1))
    shifted = [part + F.linear(pe, layer.weight, layer.bias) for part, layer in zip(parts, with_pe, strict=False)]
    return [*shifted, parts[-1] + plain.bias]


def folds(image: Tensor, tokens: Tensor) -> bool:
    """Return whether `attend_to_image` and `attend_to_tokens` are the fastest form.

    Parameters
    ----------
    image : Tensor
        (N or 1, L, C).
    tokens : Tensor
        (N, T, C).

    Notes
    -----
    With inner width I they take 2 * HEADS * T * C multiplications for an image token, the projections and
    `packed_attention` 2 * I * (C + HEADS * T). An image that several prompts share is better projected once.
    """
    return image.device.type == "cpu" and image.shape[0] == tokens.shape[0] and tokens.shape[1] <= _FOLDED


def attend_to_image(attention: DownscaledAttention, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend from tokens to an image of their own, without projecting the image.

    The scores q W_q (x W_k)^T are computed as (q W_q W_k^T) x^T, and the weighted sum of projected values as the
    projected weighted sum. The bias of the keys changes all scores of a row alike, which the softmax ignores.

    Parameters
    ----------
    attention : DownscaledAttention
        Layer of inner width I.
    q : Tensor
        (N, T, C) tokens.
    keys, values : Tensor
        (N, L, C) image tokens with and without positional encoding.

    Returns
    -------
    Tensor
        (N, T, C).
    """
    rows = fold_heads(scaled(attention.q_proj(q)), attention.k_proj.weight)
    weights = torch.bmm(rows, keys.transpose(1, 2)).softmax(-1)  # (N, T * nh, L)
    out: Tensor = attention.out_proj(project_heads(torch.bmm(weights, values), attention.v_proj))
    return out


def attend_to_tokens(
    attention: DownscaledAttention, image: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Attend from image tokens to the few tokens of their prompt, without projecting the image.

    The projection of the queries is multiplied into the keys, and the output projection into the values.

    Parameters
    ----------
    attention : DownscaledAttention
        Layer of inner width I.
    image : Tensor
        (N, L, C) image tokens with positional encoding.
    keys, values : Tensor
        (N, T, C) tokens with and without positional encoding.
    mask : Tensor, optional
        (N, 1, 1, T) bool, False for tokens to ignore.

    Returns
    -------
    Tensor
        (N, L, C).
    """
    n, t, _ = keys.shape
    k = scaled(attention.k_proj(keys))
    rows, fixed = fold_heads(k, attention.q_proj.weight), spread(k) @ attention.q_proj.bias  # fixed is (N, T * nh)
    if mask is not None:
        fixed = fixed.view(n, t, HEADS).masked_fill(~mask[:, 0, 0, :, None], -math.inf).flatten(1)
    scores = torch.baddbmm(fixed[:, None].to(rows.dtype), image, rows.transpose(1, 2)).view(n, -1, t, HEADS)
    weights = scores.softmax(2).flatten(2)  # (N, L, T * nh)
    return torch.bmm(weights, outgoing(attention, values)) + attention.out_proj.bias


def scaled(x: Tensor) -> Tensor:
    """Divide projected queries or keys (..., inner) by the root of the width of a head."""
    return x * float((x.shape[-1] // HEADS) ** -0.5)


def spread(x: Tensor) -> Tensor:
    """Spread (N, T, inner) to a row for each token and head, zero outside its channels: (N, T * nh, inner)."""
    return (x[:, :, None] * _head_blocks(x)).flatten(1, 2)


def fold_heads(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply the heads of (N, T, inner) with their rows of (inner, C): (N, T * nh, C)."""
    n, t, inner = x.shape
    heads = x.reshape(n * t, HEADS, inner // HEADS).transpose(0, 1)  # (nh, N * T, hs)
    return torch.bmm(heads, weight.view(HEADS, inner // HEADS, -1)).transpose(0, 1).reshape(n, t * HEADS, -1)


def project_heads(x: Tensor, layer: nn.Linear) -> Tensor:
    """Project every row of (N, T * nh, C) to the channels of its head: (N, T, inner)."""
    n, r, c = x.shape
    rows = x.reshape(n * r // HEADS, HEADS, c).transpose(0, 1)  # (nh, N * T, C)
    heads = torch.bmm(rows, layer.weight.view(HEADS, -1, c).transpose(1, 2))  # (nh, N * T, hs)
    return heads.transpose(0, 1).reshape(n, r // HEADS, -1) + layer.bias


def outgoing(attention: DownscaledAttention, tokens: Tensor) -> Tensor:
    """Return the unweighted update of the image by each token and head: (N, T * nh, C)."""
    return fold_heads(attention.v_proj(tokens), attention.out_proj.weight.T)


def _head_blocks(x: Tensor) -> Tensor:
    """Return ones where a head (row) has its channels (column), (nh, inner), for `x` (..., inner)."""
    return torch.eye(HEADS, dtype=x.dtype, device=x.device).repeat_interleave(x.shape[-1] // HEADS, dim=1)
