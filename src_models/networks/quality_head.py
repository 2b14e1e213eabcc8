"""How good a mask is, judged from the mask itself: a small correction of the decoder's predicted IoU.

The mask decoder scores its masks from a token, before they are drawn. Afterwards more is known: how sharp a mask is,
whether it keeps to the prompt, whether the candidates agree. A network of some 200 weights, fitted on images
with known masks (`napari_sam.evaluation.experiments.quality_calibration`), weighs that. Official checkpoints have
none, and their scores stay as they are.
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
"""What is known of a mask, in the order of `describe`'s last axis."""

_DRAWN_LOGIT = 7.9  # a mask prompt without a weaker logit was drawn or seen by the dense decoder, not decoded
_REACH = 4.0  # standard deviations that a feature may be off before it is cut: no extrapolation
_HIDDEN = 8


@dataclass(frozen=True)
class Asked:
    """What the masks answer.

    Attributes
    ----------
    coords : Tensor
        (N, T, 2) as (x, y), pixels of the network's input.
    labels : Tensor
        (N, T) SAM's labels; those below zero are no prompts.
    masks : Tensor or None
        (N, 1, H, W) mask prompts as logits, of the size of the answers.
    has_mask : Tensor or None
        (N,) bool, which objects have one; None for all.
    used : (int, int)
        Rows and columns of the logits that show the image; the rest is padding.
    """

    coords: Tensor
    labels: Tensor
    masks: Tensor | None
    has_mask: Tensor | None
    used: tuple[int, int]


def describe(decoded: DecodedMasks, asked: Asked, img_size: int) -> Tensor:
    """What is known of decoded masks.

    Parameters
    ----------
    decoded : DecodedMasks
        (N, M, H, W) logits and (N, M) predicted IoU.
    asked : Asked
        The prompts.
    img_size : int
        Side of the network's input, in pixels.

    Returns
    -------
    Tensor
        (N, M, F) float32, features as in `FEATURES`.
    """
    rows, cols = asked.used
    side = decoded.logits.shape[-1]
    logits = decoded.logits[..., :rows, :cols].float()
    inside = logits > 0
    flat = inside.flatten(2).float()
    area = flat.sum(-1)
    cells = asked.coords.float() * (side / img_size)
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
        *_mask_agreement(flat, area, asked),
        *_points_inside(inside, cells, asked.labels),
        *_box_agreement(inside, area, cells, asked.labels),
        border / (area + 1).sqrt(),
        _as_columns(torch.log1p(((asked.labels == POSITIVE) | (asked.labels == NEGATIVE)).sum(-1)), area),
    ]
    return torch.stack([column.float() for column in columns], dim=-1)


class QualityHead(nn.Module):
    """Predicted IoU from `FEATURES`: a linear and a small hidden layer, side by side, then a sigmoid."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(FEATURES)))
        self.register_buffer("scale", torch.ones(len(FEATURES)))
        self.linear = nn.Linear(len(FEATURES), 1)
        self.hidden = nn.Linear(len(FEATURES), _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 1, bias=False)

    def judge(self, decoded: DecodedMasks, asked: Asked, img_size: int) -> Tensor:
        """Predicted IoU (N, M) of decoded masks; parameters as `describe`'s."""
        return self(describe(decoded, asked, img_size))  # type: ignore[no-any-return]

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., F) features to (...) IoU in [0, 1]."""
        x = ((features - self.mean) / self.scale).clamp(-_REACH, _REACH)
        y: Tensor = self.linear(x) + self.out(nn.functional.gelu(self.hidden(x)))
        return torch.sigmoid(y[..., 0])


def _soft_iou(logits: Tensor, inside: Tensor, area: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """IoU of each mask and its own probabilities, and the mean probability inside; (N, M) each, 0 if empty."""
    p = torch.sigmoid(logits / temperature)
    within = torch.where(inside, p, 0.0).sum((-2, -1))
    total = p.sum((-2, -1))
    return within / (area + total - within).clamp(min=1e-6), within / area.clamp(min=1)


def _agreement(flat: Tensor, area: Tensor) -> list[Tensor]:
    """Mean and best IoU with the other masks of the same object, and whether there is no other; (N, M) each."""
    m = area.shape[1]
    if m == 1:
        return [torch.zeros_like(area), torch.zeros_like(area), torch.ones_like(area)]
    both = flat @ flat.transpose(1, 2)  # (N, M, M)
    iou = both / (area[:, :, None] + area[:, None] - both).clamp(min=1)
    iou = iou * (1 - torch.eye(m, device=iou.device))
    return [iou.sum(-1) / (m - 1), iou.max(-1).values, torch.zeros_like(area)]


def _mask_agreement(flat: Tensor, area: Tensor, asked: Asked) -> list[Tensor]:
    """IoU with the mask prompt, whether there is one, and whether it was drawn; (N, M) each."""
    if asked.masks is None:
        return [torch.zeros_like(area)] * 3
    rows, cols = asked.used
    shown = asked.masks[:, 0, :rows, :cols].flatten(1).float()  # (N, L)
    given = shown > 0
    has = torch.ones_like(area) if asked.has_mask is None else _as_columns(asked.has_mask.float(), area)
    both = (flat @ given[:, :, None].float())[..., 0]
    iou = both / (area + given.sum(-1, keepdim=True) - both).clamp(min=1)
    drawn = _as_columns((shown.abs().amin(-1) > _DRAWN_LOGIT).float(), area)
    return [iou * has, has, drawn * has]


def _points_inside(inside: Tensor, cells: Tensor, labels: Tensor) -> list[Tensor]:
    """Shares of the foreground points (1 if there are none) and of the background points inside; (N, M) each."""
    rows, cols = inside.shape[-2:]
    x, y = cells[..., 0].long().clamp(0, cols - 1), cells[..., 1].long().clamp(0, rows - 1)
    n = torch.arange(len(inside), device=inside.device)[:, None]
    hit = inside[n, :, y, x].float()  # (N, T, M)
    shares = []
    for wanted, without in ((POSITIVE, 1.0), (NEGATIVE, 0.0)):
        of = (labels == wanted).float()
        count = of.sum(-1, keepdim=True)
        share = (hit * of[..., None]).sum(1) / count.clamp(min=1)
        shares.append(torch.where(count > 0, share, without))
    return shares


def _box_agreement(inside: Tensor, area: Tensor, cells: Tensor, labels: Tensor) -> list[Tensor]:
    """IoU of each mask's bounding box and the box, whether there is one, and area over the box's; (N, M) each."""
    has = (labels == TOP_LEFT).any(-1) & (labels == BOTTOM_RIGHT).any(-1)
    if not bool(has.any()):
        return [torch.zeros_like(area)] * 3
    low, high = ((cells * (labels == which)[..., None]).sum(1) for which in (TOP_LEFT, BOTTOM_RIGHT))  # (N, 2)
    box = (high - low).clamp(min=0).prod(-1).clamp(min=1)[:, None]
    both, own = torch.ones_like(area), torch.ones_like(area)
    for axis, dim in ((0, -2), (1, -1)):  # x, then y
        at = inside.any(dim)  # (N, M, length)
        first = at.float().argmax(-1)
        last = at.shape[-1] - at.flip(-1).float().argmax(-1)
        both = both * (torch.minimum(last, high[:, axis, None]) - torch.maximum(first, low[:, axis, None])).clamp(min=0)
        own = own * (last - first)
    empty = area == 0
    iou = torch.where(empty, 0.0, both / (own + box - both).clamp(min=1))
    has_box = _as_columns(has.float(), area)
    return [iou * has_box, has_box, (area / box).clamp(max=2) * has_box]


def _as_columns(values: Tensor, like: Tensor) -> Tensor:
    """One value per object for all of its masks: (N,) to (N, M)."""
    return values.float()[:, None].expand_as(like)
