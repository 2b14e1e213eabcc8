"""Mask decoder for many point prompts on one image: the results of `MaskDecoder` at a fraction of the cost.

`MaskDecoder` copies the image tokens for every prompt, because attention updates them. However, the update of a token
is a mixture of only as many rows as a prompt has tokens times heads (56): the softmax weights times the projected
values. This decoder stores the weights and rows instead of their sum. Layer normalisation, the next projection and the
next attention are linear in both except for one factor per token, so that only matrix products remain: large products
with the shared image for all prompts together, and products of the small parts.

The default model draws clicks into the embedding (`ClickMap`). Some cells around the point then differ between prompts,
and only those are corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.mask_decoder import DecodedTokens, TwoWayBlock
from src_models.networks.prompt_encoder import ABSENT, PAD_POINT, POSITIVE
from src_models.networks.prompted_image import Mixture, PromptedImage
from src_models.networks.two_way_attention import (
    HEADS,
    DownscaledAttention,
    fold_heads,
    outgoing,
    project_heads,
    scaled,
    spread,
)

if TYPE_CHECKING:
    from src_models.networks.promptable import PromptableNetwork

_LEAST = 1e-18  # smallest softmax weight; its square is still a normal number
_REACH_PX = 70.0  # five times the larger sigma of `ClickMap`: beyond it a drawn click is below 1e-5 of its peak


@dataclass(frozen=True)
class NormalisedImage:
    """Image after both layers, as a sum of three centred parts and two factors for each token.

    Attributes
    ----------
    image : PromptedImage
        Part that comes from the embedding.
    first, second : Mixture
        Parts that come from the two layers.
    inverse, second_inverse : Tensor
        (N, 1, L) inverse standard deviations of the two layer normalisations.
    """

    image: PromptedImage
    first: Mixture
    second: Mixture
    inverse: Tensor
    second_inverse: Tensor

    def select(self, prompts: Tensor) -> NormalisedImage:
        """Return the image of some prompts."""
        first, second = self.first.select(prompts), self.second.select(prompts)
        inverse, second_inverse = self.inverse[prompts], self.second_inverse[prompts]
        return NormalisedImage(self.image.select(prompts), first, second, inverse, second_inverse)


@dataclass(frozen=True)
class PointTokens:
    """State of the decoder for N points before the masks, as `PointDecoder.masks` takes it.

    Attributes
    ----------
    predicted_iou : Tensor
        (N, 4) float32; index 0 is the single mask, 1 to 3 the three of an ambiguous prompt.
    tokens, token_pe : Tensor
        (N, T, C) tokens after both layers, and before them.
    image : PromptedImage
        Image tokens before the layers.
    first, second : Mixture
        Updates of the image by the two layers.
    normalised : NormalisedImage
        Image after both layers.
    """

    predicted_iou: Tensor
    tokens: Tensor
    token_pe: Tensor
    image: PromptedImage
    first: Mixture
    second: Mixture
    normalised: NormalisedImage


class PointDecoder:
    """Decode foreground points, each for one object, on one embedding.

    Parameters
    ----------
    net : PromptableNetwork
        Network of a `Runner`.
    dtype : torch.dtype
        Precision of its mask decoder.
    embedding : Tensor
        (1, C, h, w), as the network's `embed` returns it.

    Notes
    -----
    Agrees with `Runner.decode` up to rounding. The two layers of the transformer are written out.
    """

    def __init__(self, net: PromptableNetwork, dtype: torch.dtype, embedding: Tensor) -> None:
        self.net, self.dtype = net, dtype
        self.shape = (int(embedding.shape[-2]), int(embedding.shape[-1]))
        with torch.inference_mode():
            image, self.detail = net.mask_decoder.split(embedding.to(dtype))
            self.embedding = image[0].flatten(1).T.contiguous()  # (L, C)
            self.pe = net.prompt_encoder.dense_pe(self.shape)[0].flatten(1).T.to(dtype).contiguous()
            self.label = torch.tensor([[POSITIVE, PAD_POINT]], device=embedding.device)
            self.base = self._base()

    def decode_tokens(self, coords: Tensor) -> PointTokens:
        """Run the transformer.

        Parameters
        ----------
        coords : Tensor
            (N, 2) x, y in pixels of the network's input.
        """
        with torch.inference_mode():
            return self._decode_tokens(coords.to(self.embedding.device, torch.float32))

    def masks(self, state: PointTokens, chosen: Tensor, slots: slice = slice(1, 4)) -> Tensor:
        """Compute the low-res logits (n, M, 4h, 4w) of the masks of chosen prompts, in the precision of the decoder.

        Parameters
        ----------
        state : PointTokens
            Result of `decode_tokens`.
        chosen : Tensor
            (n,) indices of prompts.
        slots : slice
            Which of the four masks: by default the three of an ambiguous prompt; 0 is the single mask.
        """
        decoder = self.net.mask_decoder
        with torch.inference_mode():
            mask_tokens = self._final_attention(state, slice(1, 5), chosen)
            x = state.image.tokens(chosen)
            for mixture, layer in ((state.first, 0), (state.second, 1)):
                x = torch.baddbmm(x, mixture.weights[chosen].transpose(1, 2), mixture.rows[chosen])
                x = self._block(layer).norm4(x)
            tokens = DecodedTokens(mask_tokens, state.predicted_iou[chosen], x, self.shape, self.detail)
            return decoder.upscale(tokens, slots)

    def _decode_tokens(self, coords: Tensor) -> PointTokens:
        decoder = self.net.mask_decoder
        outputs = decoder.output_tokens()
        pair = torch.stack([coords, torch.zeros_like(coords)], dim=1)
        prompt = self.net.prompt_encoder.point_tokens(pair, self.label.expand(len(coords), -1))
        tokens = token_pe = torch.cat([outputs.expand(len(coords), -1, -1), prompt.to(self.dtype)], dim=1)
        image = self._image(pair)
        tokens, first = self._first_layer(tokens, token_pe, image)
        out = cast("Tensor", self._block(0).cross_attn_image_to_token.out_proj.bias)
        image = image.plus(out.expand_as(self.pe))
        tokens, second, normalised = self._second_layer(tokens, token_pe, image, first)
        state = PointTokens(tokens.new_zeros(0), tokens, token_pe, image, first, second, normalised)
        predicted_iou = decoder.predict_iou(self._final_attention(state, slice(0, 1), None)[:, 0]).float()
        return PointTokens(predicted_iou, tokens, token_pe, image, first, second, normalised)

    def _first_layer(self, tokens: Tensor, token_pe: Tensor, image: PromptedImage) -> tuple[Tensor, Mixture]:
        """Run layer 0, in which all prompts share the projections of the image."""
        block = self._block(0)
        tokens = block.norm1(block.self_attn(tokens, tokens, tokens))
        to_image, to_token = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        keys, values, queries = self._projected(image)
        weights = _softmax(keys.scores(spread(scaled(to_image.q_proj(tokens + token_pe)))), -1)
        tokens = block.norm2(tokens + to_image.out_proj(_head_channels(values.weighted_sum(weights))))
        tokens = block.norm3(tokens + block.mlp(tokens))
        scores = queries.scores(spread(scaled(to_token.k_proj(tokens + token_pe))))
        return tokens, Mixture(outgoing(to_token, tokens), _over_tokens(scores))

    def _second_layer(
        self, tokens: Tensor, token_pe: Tensor, image: PromptedImage, first: Mixture
    ) -> tuple[Tensor, Mixture, NormalisedImage]:
        """Run layer 1 on the normalised sum of the image and the mixtures of layer 0, which is never computed."""
        block, norm = self._block(1), self._block(0).norm4
        to_image, to_token = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        image, first = image.map(_centred), first.with_rows(_centred(first.rows))
        inverse = _inverse_deviation(_squares(image, first), norm, self.pe.shape[-1])  # (N, 1, L)
        gain, shift = norm.weight, norm.bias
        q = tokens + token_pe
        tokens = block.norm1(tokens + block.self_attn(q, q, tokens))
        q = scaled(to_image.q_proj(tokens + token_pe))
        rows = fold_heads(q, to_image.k_proj.weight) * gain
        scores = self._with_positions(first.scores(rows, image).mul_(inverse), q, 1)
        weights = _softmax(scores, -1)
        shares = weights * inverse
        seen = (image.weighted_sum(shares) + first.weighted_sum(shares)) * gain + shift
        tokens = block.norm2(tokens + to_image.out_proj(project_heads(seen, to_image.v_proj)))
        tokens = block.norm3(tokens + block.mlp(tokens))
        k = scaled(to_token.k_proj(tokens + token_pe))
        rows = fold_heads(k, to_token.q_proj.weight)
        fixed = rows @ shift + spread(k) @ to_token.q_proj.bias
        rows = rows * gain
        scores = first.scores(rows, image).mul_(inverse)
        scores = self._with_positions(scores, k, 2).add_(fixed[..., None])
        second = Mixture(*self._with_constant(outgoing(to_token, tokens), _over_tokens(scores), to_token))
        return tokens, second, self._rescaled(image, first, second, inverse, norm)

    def _with_constant(self, rows: Tensor, weights: Tensor, attention: DownscaledAttention) -> tuple[Tensor, Tensor]:
        """Append the bias of the output projection, which every image token receives, to a mixture."""
        n, _, length = weights.shape
        constant = attention.out_proj.bias.expand(n, 1, -1)
        return torch.cat([rows, constant], 1), torch.cat([weights, weights.new_ones(n, 1, length)], 1)

    def _rescaled(
        self, image: PromptedImage, first: Mixture, second: Mixture, inverse: Tensor, norm: nn.LayerNorm
    ) -> NormalisedImage:
        """Return the centred sum after layer 1 as three parts and two factors for each image token."""
        image = image.map(lambda x: _centred(x * norm.weight))
        first = first.with_rows(_centred(first.rows * norm.weight))
        rows = second.rows.clone()
        rows[:, -1] += norm.bias  # to the constant
        second = second.with_rows(_centred(rows))
        common = (second.weights * first.scores(second.rows, image)).sum(1, keepdim=True)
        squares = _squares(image, first) * inverse.float().square()
        squares = squares + 2 * inverse.float() * common.float() + _squares(None, second)
        second_inverse = _inverse_deviation(squares, self._block(1).norm4, self.pe.shape[-1])
        return NormalisedImage(image, first, second, inverse, second_inverse)

    def _final_attention(self, state: PointTokens, which: slice, chosen: Tensor | None) -> Tensor:
        """Compute the final attention of some tokens to the image, for all or chosen prompts: (N, T, 256)."""
        transformer = self.net.mask_decoder.transformer
        attention, norm = transformer.final_attn_token_to_image, self._block(1).norm4
        normalised = state.normalised
        tokens, token_pe = state.tokens[:, which], state.token_pe[:, which]
        if chosen is not None:
            tokens, token_pe, normalised = tokens[chosen], token_pe[chosen], normalised.select(chosen)
        image, first, second = normalised.image, normalised.first, normalised.second
        q = scaled(attention.q_proj(tokens + token_pe))
        rows = fold_heads(q, attention.k_proj.weight) * norm.weight
        scores = first.scores(rows, image).mul_(normalised.inverse)
        scores.baddbmm_(rows @ second.rows.transpose(1, 2), second.weights)
        scores = self._with_positions(scores.mul_(normalised.second_inverse), q, 3)
        weights = _softmax(scores, -1).mul_(normalised.second_inverse)
        shares = weights * normalised.inverse
        seen = image.weighted_sum(shares) + first.weighted_sum(shares) + second.weighted_sum(weights)
        seen = seen * norm.weight + norm.bias
        tokens = tokens + attention.out_proj(project_heads(seen, attention.v_proj))
        out: Tensor = transformer.norm_final_attn(tokens)
        return out

    def _block(self, index: int) -> TwoWayBlock:
        return cast("TwoWayBlock", self.net.mask_decoder.transformer.layers[index])

    def _base(self) -> dict[int, Tensor]:
        """Return the projected positions, the same for all prompts, by the attention that adds them."""
        second = self._block(1)
        final = self.net.mask_decoder.transformer.final_attn_token_to_image
        layers = {1: second.cross_attn_token_to_image.k_proj, 2: second.cross_attn_image_to_token.q_proj}
        layers[3] = final.k_proj
        return {key: F.linear(self.pe, layer.weight) for key, layer in layers.items()}

    def _with_positions(self, scores: Tensor, heads: Tensor, key: int) -> Tensor:
        """Add the scores of the positional encoding with heads (N, T, inner) to (N, T * nh, L), in place."""
        scores.view(-1, scores.shape[-1]).addmm_(spread(heads).flatten(0, 1), self.base[key].T)
        return scores

    def _image(self, pair: Tensor) -> PromptedImage:
        """Return the embedding plus the dense embedding of points without a mask prompt."""
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
        replaced = shared[index] + near.flatten(2).transpose(1, 2).to(self.dtype)
        return PromptedImage(shared + far.flatten().to(self.dtype), index, replaced)

    def _projected(self, image: PromptedImage) -> tuple[PromptedImage, PromptedImage, PromptedImage]:
        """Project the image to keys, values and queries of layer 0; the shared part once for all prompts."""
        block = self._block(0)
        to_image, to_token = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        positioned = image.plus(self.pe)
        pairs = ((positioned, to_image.k_proj), (image, to_image.v_proj), (positioned, to_token.q_proj))
        out = []
        for key, (x, layer) in enumerate(pairs, 10):
            if key not in self.base:
                self.base[key] = layer(x.shared)
            out.append(PromptedImage(self.base[key], x.cells, None if x.replaced is None else layer(x.replaced)))
        return out[0], out[1], out[2]


def _head_channels(x: Tensor) -> Tensor:
    """Keep the channels of its head in every row of (N, T * nh, inner): (N, T, inner)."""
    n, r, inner = x.shape
    x = x.view(n, r // HEADS, HEADS, HEADS, inner // HEADS)
    return x.diagonal(dim1=2, dim2=3).transpose(2, 3).flatten(2)  # (N, T, nh, hs)


def _over_tokens(scores: Tensor) -> Tensor:
    """Apply softmax over the tokens of each head: (N, T * nh, L)."""
    n, r, length = scores.shape
    return _softmax(scores.view(n, r // HEADS, HEADS, length), 1).view(n, r, length)


def _softmax(scores: Tensor, dim: int) -> Tensor:
    """Apply softmax and set tiny weights to zero: denormal float32 numbers are very slow on a CPU."""
    weights = scores.softmax(dim)
    return F.threshold(weights, _LEAST, 0.0, inplace=True) if weights.dtype is torch.float32 else weights


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


def _squares(image: PromptedImage | None, mixture: Mixture) -> Tensor:
    """Sum the squares of image plus mixture, (N, 1, L), float32."""
    if image is None:
        both = mixture.scores(mixture.rows)
    else:
        both = image.scores(2 * mixture.rows).baddbmm_(mixture.rows @ mixture.rows.transpose(1, 2), mixture.weights)
    out = both.mul_(mixture.weights).sum(1, keepdim=True).float()
    return out if image is None else out + image.squares()[:, None]


def _inverse_deviation(squares: Tensor, norm: nn.LayerNorm, width: int) -> Tensor:
    """Return the inverse standard deviation of each token, (N, 1, L), from the sum of its centred squares."""
    return torch.rsqrt((squares / width).clamp(min=0) + norm.eps).to(norm.weight.dtype)
