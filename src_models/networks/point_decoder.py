"""The mask decoder for many point prompts on one image: the same answers as `MaskDecoder`, a fraction of the work.

`MaskDecoder` keeps a copy of the image's tokens for every prompt, because attention rewrites them. But what a prompt
adds to a token is a mixture of as few rows as it has prompt tokens and heads (56): the softmax weights times the
projected values. This decoder keeps those weights and rows and never the sum of them. Layer normalisation, the next
projection and the next attention are linear in both but for one factor per token, so that all that is left are
matrix products with the shared image, large ones for all prompts together, and the products of the small parts.

The default model draws clicks into the embedding (`ClickMap`); then some cells around the point differ per prompt, and
only those are corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.mask_decoder import _HEADS, Attention, DecodedTokens, TwoWayBlock
from src_models.networks.prompt_encoder import ABSENT, PAD_POINT, POSITIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from src_models.networks.sam import Sam

_LEAST = 1e-18  # of a softmax weight; the square of it is still a normal number
_REACH_PX = 70.0  # beyond it the drawn click is below 1e-5 of its peak: five times the larger sigma of `ClickMap`


@dataclass(frozen=True)
class PromptedImage:
    """Image tokens that N prompts share, but for some cells of each.

    Attributes
    ----------
    shared : Tensor
        (L, C).
    cells : Tensor or None
        (N, K) indices of the tokens that are a prompt's own, none of them twice.
    own : Tensor or None
        (N, K, C) those tokens.
    """

    shared: Tensor
    cells: Tensor | None = None
    own: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> PromptedImage:
        """Apply a function of single tokens."""
        return PromptedImage(function(self.shared), self.cells, None if self.own is None else function(self.own))

    def plus(self, rows: Tensor) -> PromptedImage:
        """Add (L, C), the same for all prompts."""
        own = None if self.own is None else self.own + rows[self.cells]
        return PromptedImage(self.shared + rows, self.cells, own)

    def against(self, rows: Tensor) -> Tensor:
        """Inner products of (N, R, C) with all tokens: (N, R, L)."""
        n, r, _ = rows.shape
        out = (rows.flatten(0, 1) @ self.shared.T).view(n, r, -1)
        if self.own is not None and self.cells is not None:
            out.scatter_(2, self.cells[:, None].expand(-1, r, -1), rows @ self.own.transpose(1, 2))
        return out

    def mixed(self, weights: Tensor) -> Tensor:
        """Sums of tokens, weighted by (N, R, L): (N, R, C)."""
        n, r, _ = weights.shape
        out = (weights.flatten(0, 1) @ self.shared).view(n, r, -1)
        if self.own is not None and self.cells is not None:
            some = weights.gather(2, self.cells[:, None].expand(-1, r, -1))
            out = out + some @ (self.own - self.shared[self.cells])
        return out

    def squares(self) -> Tensor:
        """Sum of squares of each token: (1 or N, L), float32."""
        out = self.shared.float().square().sum(-1)[None]
        if self.own is not None and self.cells is not None:
            out = out.expand(len(self.own), -1).scatter(1, self.cells, self.own.float().square().sum(-1))
        return out

    def tokens(self, chosen: Tensor) -> Tensor:
        """All tokens of some prompts, (n, L, C)."""
        out = self.shared.expand(len(chosen), -1, -1)
        if self.own is not None and self.cells is not None:
            index = self.cells[chosen][..., None].expand(-1, -1, self.shared.shape[-1])
            out = out.scatter(1, index, self.own[chosen])
        return out


@dataclass(frozen=True)
class _Mixture:
    """Rows of each prompt, (N, R, C), and how much of each every image token has, (N, R, L)."""

    rows: Tensor
    weights: Tensor

    def against(self, others: Tensor, image: PromptedImage | None = None) -> Tensor:
        """Inner products of (N, S, C) with the mixtures, and with an image they are added to: (N, S, L)."""
        small = others @ self.rows.transpose(1, 2)
        if image is None:
            return torch.bmm(small, self.weights)
        return image.against(others).baddbmm_(small, self.weights)

    def mixed(self, weights: Tensor) -> Tensor:
        """Sums of the mixtures, weighted by (N, S, L): (N, S, C)."""
        return torch.bmm(torch.bmm(weights, self.weights.transpose(1, 2)), self.rows)

    def with_rows(self, rows: Tensor) -> _Mixture:
        return _Mixture(rows, self.weights)


@dataclass(frozen=True)
class PointTokens:
    """The decoder's state for N points before the masks: what `PointDecoder.masks` goes on with.

    Attributes
    ----------
    predicted_iou : Tensor
        (N, 4) float32; index 0 is the single mask, 1 to 3 the three of an ambiguous prompt.
    """

    predicted_iou: Tensor
    tokens: Tensor
    token_pe: Tensor
    image: PromptedImage
    first: _Mixture
    second: _Mixture
    scaled: tuple[PromptedImage, _Mixture, _Mixture, Tensor, Tensor]


class PointDecoder:
    """Decode foreground points, one object each, on one embedding.

    Parameters
    ----------
    net : Sam
        As a `Runner` prepared it.
    dtype : torch.dtype
        Of its mask decoder.
    embedding : Tensor
        (1, 256, h, w).

    Notes
    -----
    Agrees with `Runner.decode` to rounding; the two layers of the transformer are written out here.
    """

    def __init__(self, net: Sam, dtype: torch.dtype, embedding: Tensor) -> None:
        self.net, self.dtype = net, dtype
        self.shape = (int(embedding.shape[-2]), int(embedding.shape[-1]))
        with torch.inference_mode():
            self.embedding = embedding[0].to(dtype).flatten(1).T.contiguous()  # (L, C)
            self.pe = net.prompt_encoder.dense_pe(self.shape)[0].flatten(1).T.to(dtype).contiguous()
            self.label = torch.tensor([[POSITIVE, PAD_POINT]], device=embedding.device)
            self.base = self._base()

    def look(self, coords: Tensor) -> PointTokens:
        """Run the transformer.

        Parameters
        ----------
        coords : Tensor
            (N, 2) x, y in pixels of the network's input.
        """
        with torch.inference_mode():
            return self._look(coords.to(self.embedding.device, torch.float32))

    def masks(self, state: PointTokens, chosen: Tensor, slots: slice = slice(1, 4)) -> Tensor:
        """Low-res logits (n, M, 4h, 4w) of the chosen prompts' masks, in the decoder's precision.

        Parameters
        ----------
        state : PointTokens
            What `look` gave.
        chosen : Tensor
            (n,) indices into its prompts.
        slots : slice
            Of the four masks: the three of an ambiguous prompt by default; 0 is the single one.
        """
        decoder = self.net.mask_decoder
        with torch.inference_mode():
            found = self._last_look(state, slice(1, 5), chosen)
            x = state.image.tokens(chosen)
            for mixture, layer in ((state.first, 0), (state.second, 1)):
                x = torch.baddbmm(x, mixture.weights[chosen].transpose(1, 2), mixture.rows[chosen])
                x = self._block(layer).norm4(x)
            return decoder.upscale(DecodedTokens(found, state.predicted_iou[chosen], x, self.shape), slots)

    def _look(self, coords: Tensor) -> PointTokens:
        decoder = self.net.mask_decoder
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        pair = torch.stack([coords, torch.zeros_like(coords)], dim=1)
        prompt = self.net.prompt_encoder._tokens(pair, self.label.expand(len(coords), -1))
        tokens = token_pe = torch.cat([own.expand(len(coords), -1, -1), prompt.to(self.dtype)], dim=1)
        image = self._image(pair)
        tokens, first = self._first_layer(tokens, token_pe, image)
        out = cast("Tensor", self._block(0).cross_attn_image_to_token.out_proj.bias)
        image = image.plus(out.expand_as(self.pe))
        tokens, second, scaled = self._second_layer(tokens, token_pe, image, first)
        state = PointTokens(tokens.new_zeros(0), tokens, token_pe, image, first, second, scaled)
        judged = decoder.iou_prediction_head(self._last_look(state, slice(0, 1), None)[:, 0]).float()
        return PointTokens(judged, tokens, token_pe, image, first, second, scaled)

    def _first_layer(self, tokens: Tensor, token_pe: Tensor, image: PromptedImage) -> tuple[Tensor, _Mixture]:
        """Layer 0, where the image is still everybody's: its projections are shared."""
        block = self._block(0)
        tokens = block.norm1(block.self_attn(tokens, tokens, tokens))
        to_image, to_token = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        keys, values, asking = self._projected(image)
        weights = _softmax(keys.against(_spread(_scaled(to_image.q_proj(tokens + token_pe)))), -1)
        tokens = block.norm2(tokens + to_image.out_proj(_own_heads(values.mixed(weights))))
        tokens = block.norm3(tokens + block.mlp(tokens))
        scores = asking.against(_spread(_scaled(to_token.k_proj(tokens + token_pe))))
        return tokens, _Mixture(_outgoing(to_token, tokens), _over_tokens(scores))

    def _second_layer(
        self, tokens: Tensor, token_pe: Tensor, image: PromptedImage, first: _Mixture
    ) -> tuple[Tensor, _Mixture, tuple[PromptedImage, _Mixture, _Mixture, Tensor, Tensor]]:
        """Layer 1, on the normalised sum of the image and the first layer's mixtures, which is never formed."""
        block, norm = self._block(1), self._block(0).norm4
        to_image, to_token = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        image, first = image.map(_centred), first.with_rows(_centred(first.rows))
        inverse = _inverse_deviation(_squares(image, first), norm, self.pe.shape[-1])  # (N, 1, L)
        gain, shift = norm.weight, norm.bias
        q = tokens + token_pe
        tokens = block.norm1(tokens + block.self_attn(q, q, tokens))
        q = _scaled(to_image.q_proj(tokens + token_pe))
        rows = _folded(q, to_image.k_proj.weight) * gain
        scores = self._placed(first.against(rows, image).mul_(inverse), q, 1)
        weights = _softmax(scores, -1)
        passed = weights * inverse
        seen = (image.mixed(passed) + first.mixed(passed)) * gain + shift
        tokens = block.norm2(tokens + to_image.out_proj(_projected_heads(seen, to_image.v_proj)))
        tokens = block.norm3(tokens + block.mlp(tokens))
        k = _scaled(to_token.k_proj(tokens + token_pe))
        rows = _folded(k, to_token.q_proj.weight)
        fixed = rows @ shift + _spread(k) @ to_token.q_proj.bias
        rows = rows * gain
        scores = first.against(rows, image).mul_(inverse)
        scores = self._placed(scores, k, 2).add_(fixed[..., None])
        second = _Mixture(*self._with_constant(_outgoing(to_token, tokens), _over_tokens(scores), to_token))
        return tokens, second, self._rescaled(image, first, second, inverse, norm)

    def _with_constant(self, rows: Tensor, weights: Tensor, attention: Attention) -> tuple[Tensor, Tensor]:
        """A mixture and what every image token gets: the bias of the output projection."""
        n, _, length = weights.shape
        constant = attention.out_proj.bias.expand(n, 1, -1)
        return torch.cat([rows, constant], 1), torch.cat([weights, weights.new_ones(n, 1, length)], 1)

    def _rescaled(
        self, image: PromptedImage, first: _Mixture, second: _Mixture, inverse: Tensor, norm: nn.LayerNorm
    ) -> tuple[PromptedImage, _Mixture, _Mixture, Tensor, Tensor]:
        """The second layer's sum, centred, as three parts and two factors per image token."""
        image = image.map(lambda x: _centred(x * norm.weight))
        first = first.with_rows(_centred(first.rows * norm.weight))
        rows = second.rows.clone()
        rows[:, -1] += norm.bias  # to the constant
        second = second.with_rows(_centred(rows))
        common = (second.weights * first.against(second.rows, image)).sum(1, keepdim=True)
        squares = _squares(image, first) * inverse.float().square()
        squares = squares + 2 * inverse.float() * common.float() + _squares(None, second)
        again = _inverse_deviation(squares, self._block(1).norm4, self.pe.shape[-1])
        return image, first, second, inverse, again

    def _last_look(self, state: PointTokens, which: slice, chosen: Tensor | None) -> Tensor:
        """The final attention of some tokens to the image, for all or some prompts: (N, T, 256)."""
        transformer = self.net.mask_decoder.transformer
        attention, norm = transformer.final_attn_token_to_image, self._block(1).norm4
        image, first, second, inverse, again = state.scaled
        tokens, token_pe = state.tokens[:, which], state.token_pe[:, which]
        if chosen is not None:
            tokens, token_pe, inverse, again = (x[chosen] for x in (tokens, token_pe, inverse, again))
            first, second = (_Mixture(m.rows[chosen], m.weights[chosen]) for m in (first, second))
            if image.cells is not None and image.own is not None:
                image = PromptedImage(image.shared, image.cells[chosen], image.own[chosen])
        q = _scaled(attention.q_proj(tokens + token_pe))
        rows = _folded(q, attention.k_proj.weight) * norm.weight
        scores = first.against(rows, image).mul_(inverse)
        scores.baddbmm_(rows @ second.rows.transpose(1, 2), second.weights)
        weights = _softmax(self._placed(scores.mul_(again), q, 3), -1).mul_(again)
        passed = weights * inverse
        seen = image.mixed(passed) + first.mixed(passed) + second.mixed(weights)
        seen = seen * norm.weight + norm.bias
        tokens = tokens + attention.out_proj(_projected_heads(seen, attention.v_proj))
        out: Tensor = transformer.norm_final_attn(tokens)
        return out

    def _block(self, index: int) -> TwoWayBlock:
        return cast("TwoWayBlock", self.net.mask_decoder.transformer.layers[index])

    def _base(self) -> dict[Any, Any]:
        """What depends on the image and its positions only, kept for all prompts."""
        second = self._block(1)
        final = self.net.mask_decoder.transformer.final_attn_token_to_image
        layers = {1: second.cross_attn_token_to_image.k_proj, 2: second.cross_attn_image_to_token.q_proj}
        layers[3] = final.k_proj
        return {key: F.linear(self.pe, layer.weight) for key, layer in layers.items()}

    def _placed(self, scores: Tensor, heads: Tensor, key: int) -> Tensor:
        """Add what the positional encoding does to the scores of (N, T, inner): (N, T * nh, L), in place."""
        scores.view(-1, scores.shape[-1]).addmm_(_spread(heads).flatten(0, 1), self.base[key].T)
        return scores

    def _image(self, pair: Tensor) -> PromptedImage:
        """The embedding with what the prompt encoder adds to it for points without a mask."""
        encoder = self.net.prompt_encoder
        shared = self.embedding + encoder.no_mask_embed.weight.to(self.dtype)
        if encoder.click_map is None:
            return PromptedImage(shared)
        h, w = self.shape
        size = [min(n, 2 * int(_REACH_PX / encoder.stride + 1) + 1) for n in (h, w)]
        corner = (pair[:, 0] / encoder.stride).floor().long() - torch.tensor(size[::-1], device=pair.device) // 2
        limits = torch.tensor([w - size[1], h - size[0]], device=pair.device)
        corner = torch.minimum(corner.clamp(min=0), limits)  # (N, 2) x, y
        labels = self.label.expand(len(pair), -1)
        cells = (4 * size[0], 4 * size[1])
        near = encoder.click_map(pair - corner[:, None] * encoder.stride, labels, cells, encoder.stride / 4)
        far = encoder.click_map(pair[:1], torch.full_like(labels[:1], ABSENT), (4, 4), encoder.stride / 4)
        rows = corner[:, 1, None] + torch.arange(size[0], device=pair.device)
        cols = corner[:, 0, None] + torch.arange(size[1], device=pair.device)
        index = (rows[:, :, None] * w + cols[:, None, :]).flatten(1)
        own = shared[index] + near.flatten(2).transpose(1, 2).to(self.dtype)
        return PromptedImage(shared + far.flatten().to(self.dtype), index, own)

    def _projected(self, image: PromptedImage) -> tuple[PromptedImage, PromptedImage, PromptedImage]:
        """Layer 0's keys, values and queries of the image; the shared part once for all prompts."""
        block = self._block(0)
        to_image, to_token = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        placed = image.plus(self.pe)
        pairs = ((placed, to_image.k_proj), (image, to_image.v_proj), (placed, to_token.q_proj))
        out = []
        for key, (x, layer) in enumerate(pairs, 10):
            if key not in self.base:
                self.base[key] = layer(x.shared)
            out.append(PromptedImage(self.base[key], x.cells, None if x.own is None else layer(x.own)))
        return out[0], out[1], out[2]


def _scaled(x: Tensor) -> Tensor:
    return x * float((x.shape[-1] // _HEADS) ** -0.5)


def _spread(x: Tensor) -> Tensor:
    """(N, T, inner) to (N, T * nh, inner): one row per token and head, zero outside the head's channels."""
    blocks = torch.eye(_HEADS, dtype=x.dtype, device=x.device).repeat_interleave(x.shape[-1] // _HEADS, dim=1)
    return (x[:, :, None] * blocks).flatten(1, 2)


def _own_heads(x: Tensor) -> Tensor:
    """(N, T * nh, inner) to (N, T, inner): of each head's row its own channels."""
    n, r, inner = x.shape
    x = x.view(n, r // _HEADS, _HEADS, _HEADS, inner // _HEADS)
    return x.diagonal(dim1=2, dim2=3).transpose(2, 3).flatten(2)  # (N, T, nh, hs)


def _folded(x: Tensor, weight: Tensor) -> Tensor:
    """Heads of (N, T, inner), each times its rows of (inner, C): (N, T * nh, C)."""
    n, t, inner = x.shape
    heads = x.view(n * t, _HEADS, inner // _HEADS).transpose(0, 1)  # (nh, N * T, hs)
    return torch.bmm(heads, weight.view(_HEADS, inner // _HEADS, -1)).transpose(0, 1).reshape(n, t * _HEADS, -1)


def _projected_heads(x: Tensor, layer: nn.Linear) -> Tensor:
    """Project (N, T * nh, C), each row to its head's channels only: (N, T, inner)."""
    n, r, c = x.shape
    rows = x.view(n * r // _HEADS, _HEADS, c).transpose(0, 1)  # (nh, N * T, C)
    heads = torch.bmm(rows, layer.weight.view(_HEADS, -1, c).transpose(1, 2))  # (nh, N * T, hs)
    return heads.transpose(0, 1).reshape(n, r // _HEADS, -1) + layer.bias


def _outgoing(attention: Attention, tokens: Tensor) -> Tensor:
    """What each token and head gives to the image, before its weight: (N, T * nh, C)."""
    return _folded(attention.v_proj(tokens), attention.out_proj.weight.T)


def _over_tokens(scores: Tensor) -> Tensor:
    """Softmax over the tokens of each head: (N, T * nh, L)."""
    n, r, length = scores.shape
    return _softmax(scores.view(n, r // _HEADS, _HEADS, length), 1).view(n, r, length)


def _softmax(scores: Tensor, dim: int) -> Tensor:
    """Softmax whose smallest weights are zero: in float32 they would be denormal, and those are very slow on a CPU."""
    weights = scores.softmax(dim)
    return F.threshold(weights, _LEAST, 0.0, inplace=True) if weights.dtype is torch.float32 else weights


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


def _squares(image: PromptedImage | None, mixture: _Mixture) -> Tensor:
    """Sum of squares of image plus mixture, (N, 1, L), float32."""
    if image is None:
        both = mixture.against(mixture.rows)
    else:
        both = image.against(2 * mixture.rows).baddbmm_(mixture.rows @ mixture.rows.transpose(1, 2), mixture.weights)
    out = both.mul_(mixture.weights).sum(1, keepdim=True).float()
    return out if image is None else out + image.squares()[:, None]


def _inverse_deviation(squares: Tensor, norm: nn.LayerNorm, width: int) -> Tensor:
    """One over the standard deviation of each token, (N, 1, L), from the sum of its centred squares."""
    return torch.rsqrt((squares / width).clamp(min=0) + norm.eps).to(norm.weight.dtype)
