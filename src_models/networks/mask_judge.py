"""Judge masks once they exist: predict their IoU from the masks, the image under them and the prompt.

The mask decoder predicts the IoU of its three masks from one token, before the masks exist. The judge sees more: the
embedding inside and around each mask, the mask's own token, its agreement with the dense decoder's maps, its sharpness
(`src_models.networks.quality_head.mask_features`), and the size of objects that were accepted before. It compares the
masks of an object with each other, so that it ranks them, too. Official checkpoints have no judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.dense_decoder import BOUNDARY, CENTRE, FOREGROUND
from src_models.networks.prompt_encoder import POSITIVE
from src_models.networks.quality_head import FEATURES, PromptTensors, mask_features

if TYPE_CHECKING:
    from src_models.networks.mask_decoder import DecodedMasks

MAP_FEATURES = (
    "foreground inside",
    "foreground around",
    "soft IoU with the foreground",
    "boundary distance inside",
    "boundary distance at the rim",
    "smallest boundary distance",
    "smallest centre distance",
    "maps",
)
SIZE_FEATURES = ("log ratio to the accepted size", "accepted size")
SIMILARITIES = ("inside and around", "inside and clicks", "around and clicks")
_RING = 2  # cells of the embedding around a mask
_RIM = 1  # pixels inside and outside an outline, at half the resolution of the logits
_INSIDE = 0.5
_REACH = 4.0  # standardised features are clipped, to avoid extrapolation
_WIDTH = 256
_SMALL, _HIDDEN = 24, 64


@dataclass(frozen=True)
class JudgedMasks:
    """What the judge sees of the masks of N prompts on one image.

    Attributes
    ----------
    decoded : DecodedMasks
        (N, M, H, W) logits and (N, M) predicted IoU of the mask decoder.
    mask_tokens : Tensor
        (N, M, 256) tokens of the masks.
    prompts : PromptTensors
        The prompts.
    embedding : Tensor
        (1, 256, h, w) of the image.
    maps : Tensor or None
        (3, H, W) of the dense decoder; None without one.
    accepted_px : float
        Long side of accepted objects of the image, in pixels of the network's input; 0 if unknown.
    """

    decoded: DecodedMasks
    mask_tokens: Tensor
    prompts: PromptTensors
    embedding: Tensor
    maps: Tensor | None
    accepted_px: float = 0.0


@dataclass(frozen=True)
class JudgeInputs:
    """Features of the masks of N prompts.

    Attributes
    ----------
    numbers : Tensor
        (N, M, F) float32: `FEATURES`, `MAP_FEATURES`, `SIZE_FEATURES`, `SIMILARITIES`.
    token, inside, around : Tensor
        (N, M, 256) mask tokens, and means of the embedding inside and around the masks.
    """

    numbers: Tensor
    token: Tensor
    inside: Tensor
    around: Tensor


def judge_inputs(seen: JudgedMasks, img_size: int) -> JudgeInputs:
    """Compute the judge's features.

    Parameters
    ----------
    seen : JudgedMasks
        The masks and what surrounds them.
    img_size : int
        Side of the network's input, in pixels.
    """
    rows, cols = seen.prompts.used
    masks = (seen.decoded.logits[..., :rows, :cols] > 0).float()
    h, w = (-(-n // 4) for n in (rows, cols))
    cells = F.interpolate(masks, size=(h, w), mode="area")  # share of each cell of the embedding
    image = seen.embedding[0, :, :h, :w].float()
    inside = _pooled(image, cells)
    grown = F.max_pool2d(cells, 2 * _RING + 1, 1, _RING)
    around = _pooled(image, (grown - cells).clamp(min=0))
    clicks = _at_clicks(image, seen.prompts, img_size / seen.embedding.shape[-1])[:, None]
    numbers = torch.cat(
        [
            mask_features(seen.decoded, seen.prompts, img_size),
            _map_features(masks, None if seen.maps is None else seen.maps[:, :rows, :cols].float()),
            _size_features(masks, seen.accepted_px * seen.decoded.logits.shape[-1] / img_size),
            torch.stack(
                [
                    F.cosine_similarity(inside, around, dim=-1),
                    F.cosine_similarity(inside, clicks, dim=-1),
                    F.cosine_similarity(around, clicks, dim=-1),
                ],
                dim=-1,
            ),
        ],
        dim=-1,
    )
    return JudgeInputs(numbers, seen.mask_tokens.float(), inside, around)


class MaskJudge(nn.Module):
    """Network from the features of an object's masks to their IoU."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        count = len(FEATURES) + len(MAP_FEATURES) + len(SIZE_FEATURES) + len(SIMILARITIES)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.token = nn.Linear(_WIDTH, _SMALL)
        self.inside = nn.Linear(_WIDTH, _SMALL)
        self.around = nn.Linear(_WIDTH, _SMALL)
        self.norms = nn.ModuleList(nn.LayerNorm(_WIDTH) for _ in range(3))
        self.mix = nn.Linear(count + 3 * _SMALL, _HIDDEN)
        self.compare = nn.Linear(3 * _HIDDEN, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 1)
        self.linear = nn.Linear(count, 1)

    def predict_iou(self, seen: JudgedMasks, img_size: int) -> Tensor:
        """Predict the IoU of masks, (N, M); parameters as in `judge_inputs`."""
        inputs = judge_inputs(seen, img_size)
        return torch.sigmoid(self(inputs))

    def forward(self, inputs: JudgeInputs) -> Tensor:
        """Map the features of N objects' masks to (N, M) logits of their IoU."""
        numbers = ((inputs.numbers - self.mean) / self.scale).clamp(-_REACH, _REACH)
        wide = [
            layer(norm(x))
            for layer, norm, x in zip(
                (self.token, self.inside, self.around),
                self.norms,
                (inputs.token, inputs.inside, inputs.around),
                strict=True,
            )
        ]
        each = F.gelu(self.mix(torch.cat([numbers, *wide], dim=-1)))  # (N, M, hidden)
        shared = [x.expand_as(each) for x in (each.mean(1, keepdim=True), each.amax(1, keepdim=True))]
        compared = F.gelu(self.compare(torch.cat([each, *shared], dim=-1)))
        out: Tensor = self.out(compared) + self.linear(numbers)
        return out[..., 0]


def _pooled(image: Tensor, weights: Tensor) -> Tensor:
    """Average an image (C, h, w) with weights (N, M, h, w): (N, M, C), zero without weight."""
    flat = weights.flatten(2)
    return flat @ image.flatten(1).T / flat.sum(-1, keepdim=True).clamp(min=1e-3)


def _at_clicks(image: Tensor, prompts: PromptTensors, pitch: float) -> Tensor:
    """Average an image (C, h, w) at the foreground points: (N, C), zero without points."""
    rows, cols = image.shape[-2:]
    x, y = (prompts.coords / pitch).long().unbind(-1)
    values = image[:, y.clamp(0, rows - 1), x.clamp(0, cols - 1)]  # (C, N, T)
    chosen = (prompts.labels == POSITIVE).float()
    return (values * chosen).sum(-1).T / chosen.sum(-1).clamp(min=1)[:, None]


def _map_features(masks: Tensor, maps: Tensor | None) -> Tensor:
    """Compute `MAP_FEATURES` of masks (N, M, H, W): (N, M, 8), zero without maps.

    Both are halved first, which makes it four times as fast and changes little.
    """
    n, m = masks.shape[:2]
    if maps is None:
        return masks.new_zeros(n, m, len(MAP_FEATURES))
    half = F.avg_pool2d(masks, 2, ceil_mode=True, count_include_pad=False)
    values = F.avg_pool2d(maps[None], 2, ceil_mode=True, count_include_pad=False)[0].flatten(1)  # (3, L)
    side = 2 * _RIM + 1
    grown = F.max_pool2d(half, side, 1, _RIM)
    shrunk = -F.max_pool2d(-half, side, 1, _RIM)
    flat = half.flatten(2)
    area = flat.sum(-1).clamp(min=1e-3)
    within = flat @ values.T / area[..., None]  # (N, M, 3)
    around, rim = (x.flatten(2) for x in (grown - half, half - shrunk))
    near = around @ values[FOREGROUND]
    columns = [
        within[..., FOREGROUND],
        near / around.sum(-1).clamp(min=1e-3),
        within[..., FOREGROUND] * area / (area + near),
        within[..., BOUNDARY],
        rim @ values[BOUNDARY] / rim.sum(-1).clamp(min=1e-3),
        *(torch.where(flat > _INSIDE, values[i], 1.0).amin(-1) for i in (BOUNDARY, CENTRE)),
        torch.ones_like(area),
    ]
    return torch.stack(columns, dim=-1)


def _size_features(masks: Tensor, accepted: float) -> Tensor:
    """Compute `SIZE_FEATURES` of masks (N, M, H, W): (N, M, 2); `accepted` is in pixels of the masks."""
    n, m = masks.shape[:2]
    if accepted <= 0:
        return masks.new_zeros(n, m, len(SIZE_FEATURES))
    extents = [masks.amax(axis).sum(-1) for axis in (-1, -2)]
    longest = torch.maximum(*extents).clamp(min=1)
    return torch.stack([torch.log(longest / accepted).clamp(-3, 3), torch.ones_like(longest)], dim=-1)
