"""Mask decoder of SAM 2: that of SAM, with finer image features, an object score, and a stability rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from src_models.networks.layers import MLP
from src_models.networks.mask_decoder import DecodedMasks, DecodedTokens, Detail, MaskDecoder, TwoWayBlock
from src_models.networks.prompt_encoder import PromptEncoder
from src_models.networks.sam2.config import WIDTH

if TYPE_CHECKING:
    from src_models.networks.prompt_encoder import PromptEmbedding

_HALF, _QUARTER = WIDTH // 4, WIDTH // 8  # channels of the finer features
_STABILITY_DELTA = 0.05
_STABILITY_THRESHOLD = 0.98
_LOGIT_LIMIT = 32.0


class Sam2PromptEncoder(PromptEncoder):
    """Prompt encoder of SAM 2, which limits mask prompts to +-32 and pads prompts with a box too."""

    def __init__(self, img_size: int, stride: int = 16) -> None:
        super().__init__(img_size, stride)
        self.pad_boxes = True

    def forward(
        self,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
        shape: tuple[int, int] | None = None,
        has_mask: Tensor | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> PromptEmbedding:
        """Encode N prompts; see `PromptEncoder.forward`."""
        if masks is not None:
            masks = masks.clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
        return super().forward(coords, labels, masks, shape, has_mask, origin)


@dataclass(frozen=True)
class ObjectMask:
    """The best mask of each of N objects.

    Attributes
    ----------
    logits : Tensor
        (N, 1, 4h, 4w) low-res logits.
    predicted_iou : Tensor
        (N, 1 or 3) predicted IoU of the masks among which it was chosen.
    token : Tensor
        (N, 256) decoder token that the mask was made from.
    object_score : Tensor
        (N, 1) logit of the object's presence.
    """

    logits: Tensor
    predicted_iou: Tensor
    token: Tensor
    object_score: Tensor


class Sam2MaskDecoder(MaskDecoder):
    """Predict masks, their IoU and the presence of the object.

    Embeddings are *packed*: the image map, then the finer features of each of its cells, in one map of 1024 channels.
    """

    def __init__(self) -> None:
        super().__init__(WIDTH)
        for block in self.transformer.layers:
            cast("TwoWayBlock", block).mlp = MLP(WIDTH, 2048, WIDTH, 2)  # type: ignore[assignment]
        self.obj_score_token = nn.Embedding(1, WIDTH)
        self.conv_s0 = nn.Conv2d(WIDTH, _QUARTER, 1)
        self.conv_s1 = nn.Conv2d(WIDTH, _HALF, 1)
        self.pred_obj_score_head = MLP(WIDTH, WIDTH, 1, 3)

    def forward(
        self,
        embedding: Tensor,
        image_pe: Tensor,
        tokens: Tensor,
        dense: Tensor,
        valid: Tensor | None = None,
        multimask: bool = True,
    ) -> DecodedMasks:
        """Decode N prompts; see `MaskDecoder.forward`.

        A single mask is that of token 0 where it is stable, else the best of the three of an ambiguous prompt.
        """
        state = self.decode_tokens(embedding, image_pe, tokens, dense, valid)
        if multimask:
            return DecodedMasks(self.upscale(state, slice(1, None)), state.predicted_iou[:, 1:])
        return self.stable_mask(state)

    def split(self, embedding: Tensor) -> tuple[Tensor, Detail | None]:
        """Split a packed embedding (B, 1024, h, w) into image map and finer features."""
        cells = embedding.flatten(2).transpose(1, 2)  # (B, h*w, 1024)
        half = cells[..., WIDTH : 2 * WIDTH].unflatten(-1, (4, -1))
        quarter = cells[..., 2 * WIDTH :].unflatten(-1, (4, -1))
        return embedding[:, :WIDTH], Detail(half, quarter)

    def output_tokens(self) -> Tensor:
        """Return the learned tokens, (6, 256): predicted IoU, four masks, object score."""
        return torch.cat([super().output_tokens(), self.obj_score_token.weight])

    def predict_iou(self, token: Tensor) -> Tensor:
        """Predict the IoU of all masks, (N, 4), from the first token, (N, 256)."""
        return super().predict_iou(token).sigmoid()

    def object_score(self, tokens: Tensor) -> Tensor | None:
        """Predict the presence of the object, (N, 1) logits, from all tokens (N, T, 256)."""
        score: Tensor = self.pred_obj_score_head(tokens[:, 5])
        return score

    def stable_mask(self, state: DecodedTokens) -> DecodedMasks:
        """Return the mask of token 0, or the best other one where that changes much with the threshold: (N, 1, ...)."""
        logits, predicted_iou = self.upscale(state, slice(0, 1)), state.predicted_iou[:, :1]
        stable = stability(logits[:, 0]) >= _STABILITY_THRESHOLD
        if bool(stable.all()):
            return DecodedMasks(logits, predicted_iou)
        other, best = self._best(state)
        logits = torch.where(stable[:, None, None, None], logits, other)
        best_iou = state.predicted_iou.gather(1, best[:, None])
        return DecodedMasks(logits, torch.where(stable[:, None], predicted_iou, best_iou))

    def object_mask(self, state: DecodedTokens, multimask: bool) -> ObjectMask:
        """Return the best mask of each object, with its token.

        Parameters
        ----------
        state : DecodedTokens
            From `run_transformer`.
        multimask : bool
            Choose among the three masks of an ambiguous prompt; else the single mask, as `forward` returns it.
        """
        score = cast("Tensor", state.object_score)
        if not multimask:
            masks = self.stable_mask(state)
            return ObjectMask(masks.logits, masks.predicted_iou, state.mask_tokens[:, 0], score)
        logits, best = self._best(state)
        token = state.mask_tokens[torch.arange(len(best), device=best.device), best]
        return ObjectMask(logits, state.predicted_iou[:, 1:], token, score)

    def _best(self, state: DecodedTokens) -> tuple[Tensor, Tensor]:
        """Return the mask with the best predicted IoU of tokens 1 to 3, (N, 1, 4h, 4w), and its index (N,)."""
        best = 1 + state.predicted_iou[:, 1:].argmax(1)
        weights = self.mask_weights(state, slice(0, None))
        chosen = weights.gather(1, best[:, None, None].expand(-1, 1, weights.shape[-1]))
        return self.classify(state, chosen), best


def stability(logits: Tensor) -> Tensor:
    """Return the IoU of masks (N, H, W) at a slightly higher and a slightly lower threshold: (N,); 1 if empty.

    >>> stability(torch.tensor([[[0.01, 1.0]], [[-1.0, -1.0]]]))
    tensor([0.5000, 1.0000])
    """
    strict = (logits > _STABILITY_DELTA).flatten(1).sum(1).float()
    loose = (logits > -_STABILITY_DELTA).flatten(1).sum(1).float()
    return torch.where(loose > 0, strict / loose.clamp(min=1), 1.0)


def fold(x: Tensor) -> Tensor:
    """Group the cells of (B, 2h, 2w, C) by two: (B, h, w, 4 * C), channels of a cell in the order of its rows."""
    b, h, w, c = x.shape
    return x.view(b, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(b, h // 2, w // 2, 4 * c)


def pack(image: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
    """Pack image map and finer features, channels last, into one embedding: (B, 1024, h, w).

    Parameters
    ----------
    image, half, quarter : Tensor
        (B, h, w, 256), (B, 2h, 2w, 64) and (B, 4h, 4w, 32).
    """
    return torch.cat([image, fold(half), fold(fold(quarter))], dim=-1).permute(0, 3, 1, 2)
