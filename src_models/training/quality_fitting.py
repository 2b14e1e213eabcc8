"""Fit a quality head to masks whose true IoU is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from src_models.model_errors import TrainingError
from src_models.networks.quality_head import FEATURES, QualityHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_STEPS = 250
_RATE = 0.04
_DECAY = 0.01
_RANK_WEIGHT = 0.5  # weight of the IoU lost by not choosing the best mask, relative to the squared error
_SHARPNESS = 20.0  # of the soft choice among the masks of an object
_MIN_SAMPLES = 50


@dataclass(frozen=True)
class FittingSample:
    """Prediction whose masks have been compared with the truth.

    Attributes
    ----------
    group : str
        Data set; all have equal weight.
    features : ndarray of float32
        (M, F) from `src_models.networks.quality_head.mask_features`.
    iou : ndarray of float32
        (M,) true IoU.
    """

    group: str
    features: NDArray[np.float32]
    iou: NDArray[np.float32]


def fit_quality(samples: Sequence[FittingSample], seed: int = 0) -> QualityHead:
    """Fit a quality head to the squared error and to the IoU that choosing its best mask loses.

    Parameters
    ----------
    samples : sequence of FittingSample
        At least 50.
    seed : int
        Random seed of the initial weights; the rest is deterministic.

    Returns
    -------
    QualityHead
        In evaluation mode.

    Raises
    ------
    TrainingError
        If there are too few samples.
    """
    if len(samples) < _MIN_SAMPLES:
        message = f"{len(samples)} predictions are too few to fit a quality head"
        raise TrainingError(message, remedy=f"give more images, for at least {_MIN_SAMPLES} predictions")
    features, iou, real = _stacked(samples)
    names, group, sizes = np.unique([sample.group for sample in samples], return_inverse=True, return_counts=True)
    each = torch.from_numpy(1 / (len(names) * sizes[group])).float()  # (R,) sums to 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = QualityHead()
        torch.nn.init.zeros_(head.out.weight)
    head.mean.copy_(features[real].mean(0))
    head.scale.copy_(features[real].std(0) + 1e-3)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    of_mask = each[:, None] * real
    of_mask = of_mask / of_mask.sum()
    for _ in range(_STEPS):
        predicted = head(features)
        error = (of_mask * (predicted - iou) ** 2).sum()
        choice = torch.where(real, _SHARPNESS * predicted, -torch.inf).softmax(-1)
        regret = (each * (iou.max(-1).values - (choice * iou).sum(-1))).sum()
        optimizer.zero_grad()
        (error + _RANK_WEIGHT * regret).backward()
        optimizer.step()
        schedule.step()
    return head.eval().requires_grad_(False)


def _stacked(samples: Sequence[FittingSample]) -> tuple[Tensor, Tensor, Tensor]:
    """Stack features (R, M, F), IoU (R, M), and which masks are real (R, M), as samples may have fewer masks."""
    most = max(len(sample.iou) for sample in samples)
    features = np.zeros((len(samples), most, len(FEATURES)), np.float32)
    iou, real = np.zeros((len(samples), most), np.float32), np.zeros((len(samples), most), bool)
    for i, sample in enumerate(samples):
        count = len(sample.iou)
        features[i, :count], iou[i, :count], real[i, :count] = sample.features, sample.iou, True
    return torch.from_numpy(features), torch.from_numpy(iou), torch.from_numpy(real)
