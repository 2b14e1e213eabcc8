"""Predict the IoU of a mask from the mask itself, in place of the mask decoder's prediction.

The mask decoder predicts the IoU of its masks from a token, before the masks exist. Once they exist, more is known: how
sharp a mask is, whether it agrees with the prompt and with the other masks of the object. The quality head is a network
of some 200 weights that weighs these features; `napari_sam.evaluation.experiments.quality_calibration` fits it on
images with known masks. Official checkpoints have none and keep the predictions of the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from src_models.networks.prompt_encoder import BOTTOM_RIGHT, NEGATIVE, POSITIVE, TOP_LEFT

if TYPE_CHECKING:
    from src_models.networks.mask_decoder import DecodedMasks

FEATURES = (
    "predicted IoU",
    "soft IoU",
    "softer IoU",
    "stability",
    "confidence inside",
    "log area",
    "roughness",
    "mean agreement",
    "best agreement",
    "only mask",
    "agreement with the mask prompt",
    "mask prompt",
    "drawn mask prompt",
    "foreground points inside",
    "background points inside",
    "agreement with the box",
    "box",
    "share of the box",
    "cut by the window",
    "log points",
)
"""Features of a mask, in the order of the last axis of `mask_features`."""

_DRAWN_LOGIT = 7.9  # a mask prompt without a weaker logit was drawn or found by the dense decoder
_REACH = 4.0  # features are clipped at this many standard deviations, to avoid extrapolation
_HIDDEN = 8


@dataclass(frozen=True)
class PromptTensors:
    """Prompts of N objects, as the mask decoder received them.

    Attributes
    ----------
    coords : Tensor
        (N, T, 2) as (x, y), pixels of the network's input.
    labels : Tensor
        (N, T) SAM's labels; labels below zero are padding.
    masks : Tensor or None
        (N, 1, H, W) mask prompts as logits, of the size of the decoded masks.
    has_mask : Tensor or None
        (N,) bool, False for objects without a mask prompt; None if all have one.
    used : (int, int)
        Rows and columns of the logits that lie in the image; the rest is padding.
    """

    coords: Tensor
    labels: Tensor
    masks: Tensor | None
    has_mask: Tensor | None
    used: tuple[int, int]


def mask_features(decoded: DecodedMasks, prompts: PromptTensors, img_size: int) -> Tensor:
    """Compute features of decoded masks.

    Parameters
    ----------
    decoded : DecodedMasks
        (N, M, H, W) logits and (N, M) predicted IoU.
    prompts : PromptTensors
        The prompts.
    img_size : int
        Side of the network's input, in pixels.

    Returns
    -------
    Tensor
        (N, M, F) float32, in the order of `FEATURES`.
    """
    rows, cols = prompts.used
    side = decoded.logits.shape[-1]
    logits = decoded.logits[..., :rows, :cols].float()
    inside = logits > 0
    flat = inside.flatten(2).float()
    area = flat.sum(-1)
    cells = prompts.coords.float() * (side / img_size)
    soft, confidence = _soft_iou(logits, inside, area, 1.0)
    softer, _ = _soft_iou(logits, inside, area, 3.0)
    strict, loose = ((logits > level).sum((-2, -1)) for level in (1.0, -1.0))
    changes = (inside[..., 1:, :] != inside[..., :-1, :]).sum((-2, -1)) + (
        inside[..., :, 1:] != inside[..., :, :-1]
    ).sum((-2, -1))
    border = sum(inside[..., s, :].sum(-1) for s in (0, -1)) + sum(inside[..., :, s].sum(-1) for s in (0, -1))
    columns = [
        decoded.predicted_iou.float().clamp(0, 1),
        soft,
        softer,
        strict / loose.clamp(min=1),
        confidence,
        torch.log((area + 1) / (rows * cols)),
        torch.log((changes + 1) / (area + 1).sqrt()),
        *_agreement(flat, area),
        *_mask_agreement(flat, area, prompts),
        *_points_inside(inside, cells, prompts.labels),
        *_box_agreement(inside, area, cells, prompts.labels),
        border / (area + 1).sqrt(),
        _as_columns(torch.log1p(((prompts.labels == POSITIVE) | (prompts.labels == NEGATIVE)).sum(-1)), area),
    ]
    return torch.stack([column.float() for column in columns], dim=-1)


class QualityHead(nn.Module):
    """Network from `FEATURES` to predicted IoU: a linear and a small hidden layer in parallel, then a sigmoid."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(FEATURES)))
        self.register_buffer("scale", torch.ones(len(FEATURES)))
        self.linear = nn.Linear(len(FEATURES), 1)
        self.hidden = nn.Linear(len(FEATURES), _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 1, bias=False)

    def predict_iou(self, decoded: DecodedMasks, prompts: PromptTensors, img_size: int) -> Tensor:
        """Predict the IoU of decoded masks, (N, M); parameters as in `mask_features`."""
        return self(mask_features(decoded, prompts, img_size))  # type: ignore[no-any-return]

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., F) features to (...) IoU in [0, 1]."""
        x = ((features - self.mean) / self.scale).clamp(-_REACH, _REACH)
        y: Tensor = self.linear(x) + self.out(nn.functional.gelu(self.hidden(x)))
        return torch.sigmoid(y[..., 0])


def _soft_iou(logits: Tensor, inside: Tensor, area: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the IoU of masks and their probabilities, and the mean probability inside; (N, M) each, 0 if empty."""
    p = torch.sigmoid(logits / temperature)
    within = torch.where(inside, p, 0.0).sum((-2, -1))
    total = p.sum((-2, -1))
    return within / (area + total - within).clamp(min=1e-6), within / area.clamp(min=1)


def _agreement(flat: Tensor, area: Tensor) -> list[Tensor]:
    """Return mean and best IoU with the other masks of the object, and whether there are no others; (N, M) each."""
    m = area.shape[1]
    if m == 1:
        return [torch.zeros_like(area), torch.zeros_like(area), torch.ones_like(area)]
    both = flat @ flat.transpose(1, 2)  # (N, M, M)
    iou = both / (area[:, :, None] + area[:, None] - both).clamp(min=1)
    iou = iou * (1 - torch.eye(m, device=iou.device))
    return [iou.sum(-1) / (m - 1), iou.max(-1).values, torch.zeros_like(area)]


def _mask_agreement(flat: Tensor, area: Tensor, prompts: PromptTensors) -> list[Tensor]:
    """Return the IoU with the mask prompt, whether there is one, and whether it was drawn; (N, M) each."""
    if prompts.masks is None:
        return [torch.zeros_like(area)] * 3
    rows, cols = prompts.used
    logits = prompts.masks[:, 0, :rows, :cols].flatten(1).float()  # (N, L)
    given = logits > 0
    has = torch.ones_like(area) if prompts.has_mask is None else _as_columns(prompts.has_mask.float(), area)
    both = (flat @ given[:, :, None].float())[..., 0]
    iou = both / (area + given.sum(-1, keepdim=True) - both).clamp(min=1)
    drawn = _as_columns((logits.abs().amin(-1) > _DRAWN_LOGIT).float(), area)
    return [iou * has, has, drawn * has]


def _points_inside(inside: Tensor, cells: Tensor, labels: Tensor) -> list[Tensor]:
    """Return the shares of foreground points (1 if there are none) and background points inside; (N, M) each."""
    rows, cols = inside.shape[-2:]
    x, y = cells[..., 0].long().clamp(0, cols - 1), cells[..., 1].long().clamp(0, rows - 1)
    n = torch.arange(len(inside), device=inside.device)[:, None]
    hit = inside[n, :, y, x].float()  # (N, T, M)
    shares = []
    for wanted, default in ((POSITIVE, 1.0), (NEGATIVE, 0.0)):
        chosen = (labels == wanted).float()
        count = chosen.sum(-1, keepdim=True)
        share = (hit * chosen[..., None]).sum(1) / count.clamp(min=1)
        shares.append(torch.where(count > 0, share, default))
    return shares


def _box_agreement(inside: Tensor, area: Tensor, cells: Tensor, labels: Tensor) -> list[Tensor]:
    """Return the IoU of bounding box and box prompt, whether there is one, and the ratio of areas; (N, M) each."""
    has = (labels == TOP_LEFT).any(-1) & (labels == BOTTOM_RIGHT).any(-1)
    if not bool(has.any()):
        return [torch.zeros_like(area)] * 3
    low, high = ((cells * (labels == which)[..., None]).sum(1) for which in (TOP_LEFT, BOTTOM_RIGHT))  # (N, 2)
    box = (high - low).clamp(min=0).prod(-1).clamp(min=1)[:, None]
    both, bounding = torch.ones_like(area), torch.ones_like(area)
    for axis, dim in ((0, -2), (1, -1)):  # x, then y
        occupied = inside.any(dim)  # (N, M, length)
        first = occupied.float().argmax(-1)
        last = occupied.shape[-1] - occupied.flip(-1).float().argmax(-1)
        both = both * (torch.minimum(last, high[:, axis, None]) - torch.maximum(first, low[:, axis, None])).clamp(min=0)
        bounding = bounding * (last - first)
    empty = area == 0
    iou = torch.where(empty, 0.0, both / (bounding + box - both).clamp(min=1))
    has_box = _as_columns(has.float(), area)
    return [iou * has_box, has_box, (area / box).clamp(max=2) * has_box]


def _as_columns(values: Tensor, like: Tensor) -> Tensor:
    """Repeat the value of an object for all of its masks: (N,) to (N, M)."""
    return values.float()[:, None].expand_as(like)
