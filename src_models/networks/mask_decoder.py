"""SAM's mask decoder: two-way attention between prompt tokens and the image, then a dynamic linear classifier.

The arithmetic is that of the published network, in another order. The image embedding is never repeated for each
prompt: the projections of the first layer are computed once and shared. Projections of the same input are one matrix
product, the two upsampling convolutions are matrix products that do not shuffle pixels, and only the requested masks
are upsampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.layers import MLP, FeedForward, LayerNorm2d
from src_models.networks.prompt_encoder import PromptEmbedding
from src_models.networks.two_way_attention import (
    DownscaledAttention,
    attend_to_image,
    attend_to_tokens,
    folds,
    project_together,
)

_MASKS = 4  # the single mask, then the three of an ambiguous prompt


@dataclass(frozen=True)
class DecodedMasks:
    """Masks of N prompts.

    Attributes
    ----------
    logits : Tensor
        (N, M, 4h, 4w) low-res logits.
    predicted_iou : Tensor
        (N, M).
    mask_tokens : Tensor or None
        (N, M, 256) tokens of the masks, which a `MaskJudge` reads; None where they were not kept.
    """

    logits: Tensor
    predicted_iou: Tensor
    mask_tokens: Tensor | None = None


@dataclass(frozen=True)
class Detail:
    """Features finer than the image embedding, which SAM 2 adds while it upsamples masks.

    Attributes
    ----------
    half : Tensor
        (1 or N, h * w, 4, C / 4) features at twice the resolution of the embedding, grouped by its cells.
    quarter : Tensor
        (1 or N, h * w, 4, C / 2) features at four times the resolution, grouped by cells, then by quarters of a cell.
    """

    half: Tensor
    quarter: Tensor


@dataclass(frozen=True)
class DecodedTokens:
    """State of the decoder before upsampling, with the predicted IoU of every mask.

    Attributes
    ----------
    mask_tokens : Tensor
        (N, 4, 256).
    predicted_iou : Tensor
        (N, 4); index 0 is the single mask, 1 to 3 the three of an ambiguous prompt.
    image : Tensor
        (N, h * w, 256) image tokens after attention to the prompts.
    shape : (int, int)
        (h, w).
    detail : Detail or None
        Finer features for upsampling; only SAM 2 has them.
    object_score : Tensor or None
        (N, 1) logit of the presence of the object; only SAM 2 predicts it.
    """

    mask_tokens: Tensor
    predicted_iou: Tensor
    image: Tensor
    shape: tuple[int, int]
    detail: Detail | None = None
    object_score: Tensor | None = None


class TwoWayBlock(nn.Module):
    """Block in which tokens attend to themselves and to the image, then the image to the tokens."""

    def __init__(self, width: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.first = first  # self-attention without positional encoding and residual connection
        self.self_attn = DownscaledAttention(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = DownscaledAttention(width, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, hidden, F.relu)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = DownscaledAttention(width, width // 2)

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (N, T, C) and image (1 or N, L, C), and return both for N prompts."""
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens, mask))
        else:
            q = tokens + token_pe
            tokens = self.norm1(tokens + self.self_attn(q, q, tokens, mask))
        if folds(image, tokens):
            return self._attend_folded(tokens, image, token_pe, image_pe, mask)
        to_image, to_token = self.cross_attn_token_to_image, self.cross_attn_image_to_token
        k, image_q, v = project_together(image, image_pe, [to_image.k_proj, to_token.q_proj], to_image.v_proj)
        q = to_image.q_proj(tokens + token_pe)
        tokens = self.norm2(tokens + to_image.attend(q, k, v))
        tokens = self.norm3(tokens + self.mlp(tokens))
        token_k, token_v = to_token.k_proj(tokens + token_pe), to_token.v_proj(tokens)
        image = self.norm4(image + to_token.attend(image_q, token_k, token_v, mask))
        return tokens, image

    def _attend_folded(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Attend to the image and back without projecting the image."""
        positioned = image + image_pe
        seen = attend_to_image(self.cross_attn_token_to_image, tokens + token_pe, positioned, image)
        tokens = self.norm2(tokens + seen)
        tokens = self.norm3(tokens + self.mlp(tokens))
        update = attend_to_tokens(self.cross_attn_image_to_token, positioned, tokens + token_pe, tokens, mask)
        return tokens, self.norm4(image + update)


class TwoWayTransformer(nn.Module):
    """Two-way blocks and a final attention of the tokens to the image."""

    def __init__(self, width: int, depth: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(width, hidden, i == 0) for i in range(depth))
        self.final_attn_token_to_image = DownscaledAttention(width, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run all blocks on image (1 or N, L, C) and tokens (N, T, C)."""
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe, mask)
        final = self.final_attn_token_to_image
        q = tokens + token_pe
        if folds(image, tokens):
            tokens = tokens + attend_to_image(final, q, image + image_pe, image)
        else:
            k, v = project_together(image, image_pe, [final.k_proj], final.v_proj)
            tokens = tokens + final.attend(final.q_proj(q), k, v)
        return self.norm_final_attn(tokens), image


class MaskDecoder(nn.Module):
    """Predict masks and their IoU from an image embedding and prompts.

    Parameters
    ----------
    width : int
        Width of the embedding.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(width, depth=2, hidden=2048)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(_MASKS, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(width, width, width // 8, 3) for _ in range(_MASKS))
        self.iou_prediction_head = MLP(width, 256, _MASKS, 3)

    def forward(
        self,
        embedding: Tensor,
        image_pe: Tensor,
        tokens: Tensor,
        dense: Tensor,
        valid: Tensor | None = None,
        multimask: bool = True,
    ) -> DecodedMasks:
        """Decode N prompts.

        Parameters
        ----------
        embedding : Tensor
            (1, 256, h, w), or (N, 256, h, w) with an image for each prompt.
        image_pe : Tensor
            (1, 256, h, w) from `PromptEncoder.dense_pe`.
        tokens : Tensor
            (N, T, 256) prompt tokens.
        dense : Tensor
            (1 or N, 256, h, w) or (1, 256, 1, 1) dense prompt embeddings.
        valid : Tensor, optional
            (N, T) bool, False for padding.
        multimask : bool
            Return the three masks for an ambiguous prompt, or the single mask.

        Returns
        -------
        DecodedMasks
            With M = 3 or 1 masks per prompt.
        """
        state = self.decode_tokens(embedding, image_pe, tokens, dense, valid)
        chosen = slice(1, _MASKS) if multimask else slice(0, 1)
        return DecodedMasks(self.upscale(state, chosen), state.predicted_iou[:, chosen], state.mask_tokens[:, chosen])

    def decode_tokens(
        self, embedding: Tensor, image_pe: Tensor, tokens: Tensor, dense: Tensor, valid: Tensor | None
    ) -> DecodedTokens:
        """Run the transformer: mask tokens and predicted IoU, without upsampling."""
        image, detail = self.split(embedding)
        return self.run_transformer(image, detail, PromptEmbedding(tokens, valid, dense), image_pe)

    def run_transformer(
        self, image: Tensor, detail: Detail | None, prompt: PromptEmbedding, image_pe: Tensor
    ) -> DecodedTokens:
        """Run the transformer on an image (1 or N, 256, h, w) and its finer features, as `split` returns them."""
        output = self.output_tokens()
        outputs = len(output)
        tokens = torch.cat([output.expand(len(prompt.tokens), -1, -1), prompt.tokens.to(output.dtype)], dim=1)
        mask = None if prompt.valid is None else F.pad(prompt.valid, (outputs, 0), value=True)[:, None, None]
        shape = (image.shape[-2], image.shape[-1])
        image = (image + prompt.dense).flatten(2).transpose(1, 2)  # (1 or N, h*w, C)
        pe = image_pe.flatten(2).transpose(1, 2).to(image.dtype)
        tokens, image = self.transformer(image, pe, tokens, mask)
        predicted_iou = self.predict_iou(tokens[:, 0])
        score = self.object_score(tokens)
        return DecodedTokens(tokens[:, 1 : 1 + _MASKS], predicted_iou, image, shape, detail, score)

    def split(self, embedding: Tensor) -> tuple[Tensor, Detail | None]:
        """Split an embedding (B, C, h, w) into the image map (B, 256, h, w) and finer features, if it has any."""
        return embedding, None

    def output_tokens(self) -> Tensor:
        """Return the learned tokens, (T, 256): that of the predicted IoU, those of the masks, then any others."""
        return torch.cat([self.iou_token.weight, self.mask_tokens.weight])

    def predict_iou(self, token: Tensor) -> Tensor:
        """Predict the IoU of all masks, (N, 4), from the first token, (N, 256)."""
        predicted: Tensor = self.iou_prediction_head(token)
        return predicted

    def object_score(self, tokens: Tensor) -> Tensor | None:
        """Predict the presence of the object, (N, 1) logits, from all tokens (N, T, 256); None without such a head."""
        return None

    def upscale(self, state: DecodedTokens, chosen: slice) -> Tensor:
        """Compute the low-res logits (N, M, 4h, 4w) of the chosen mask tokens."""
        return self.classify(state, self.mask_weights(state, chosen))

    def mask_weights(self, state: DecodedTokens, chosen: slice) -> Tensor:
        """Return the classifiers of the chosen masks, (N, M, C / 8), as the hypernetworks predict them."""
        tokens, mlps = state.mask_tokens[:, chosen], self.output_hypernetworks_mlps[chosen]
        return torch.stack([mlp(tokens[:, i]) for i, mlp in enumerate(mlps)], dim=1)

    def classify(self, state: DecodedTokens, weights: Tensor) -> Tensor:
        """Upsample the image and apply classifiers (N, M, C / 8) to its pixels: (N, M, 4h, 4w) low-res logits."""
        h, w = state.shape
        first, norm, second = self._upscaling_layers()
        y = _upsampled(state.image, first)
        y = y.unflatten(-1, (4, -1))  # (N, h*w, 4, C/4)
        if state.detail is not None:
            y = y + state.detail.half
        y = F.gelu(F.layer_norm(y, norm.weight.shape, norm.weight, norm.bias, norm.eps))
        y = _upsampled(y, second)
        if state.detail is not None:
            y = y + state.detail.quarter
        y = F.gelu(y)
        y = y.view(y.shape[0], h * w * 16, -1)  # (N, h*w*4*4, C/8)
        logits = weights @ y.transpose(1, 2)  # (N, M, h*w*16), pixels still grouped by cell
        n, m = logits.shape[:2]
        logits = logits.view(n, m, h, w, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
        return logits.reshape(n, m, 4 * h, 4 * w)

    def _upscaling_layers(self) -> tuple[nn.ConvTranspose2d, LayerNorm2d, nn.ConvTranspose2d]:
        """Return the layers of `output_upscaling` that have weights."""
        first, norm, _, second, _ = self.output_upscaling
        return cast("tuple[nn.ConvTranspose2d, LayerNorm2d, nn.ConvTranspose2d]", (first, norm, second))


def _upsampled(x: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    """Apply a 2 x 2 transposed convolution of stride 2 to tokens, as a matrix product: (..., 4 * C_out)."""
    bias = cast("Tensor", conv.bias)
    return F.linear(x, conv.weight.permute(2, 3, 1, 0).reshape(-1, conv.in_channels), bias.repeat(4))
