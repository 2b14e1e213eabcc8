"""Fit a mask judge to masks whose true IoU is known."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from src_models.model_errors import TrainingError
from src_models.networks.mask_judge import JudgeInputs, MaskJudge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_STEPS = 800
_BATCH = 256
_RATE = 3e-3
_DECAY = 0.02
_WARMUP = 0.1
_RANK_WEIGHT = 1.0  # weight of the IoU lost by not choosing the best mask, relative to the squared error
_SHARPNESS = 15.0  # of the soft choice among the masks of an object
_DROPOUT = 0.2  # of single embedding features
_BLIND = 0.2  # share of the batches without embedding features, so that the others carry what they can
_BALANCE = 0.7  # exponent of a data set's size by which its samples are rarer: 1 gives all sets equal weight
_MIN_SAMPLES = 50


@dataclass(frozen=True)
class JudgedSample:
    """Prediction whose masks have been compared with the truth.

    Attributes
    ----------
    group : str
        Data set; large ones count less per sample.
    inputs : JudgeInputs
        Features of its M masks, each (M, ...), M = 3 or 1.
    iou : Tensor
        (M,) true IoU.
    """

    group: str
    inputs: JudgeInputs
    iou: Tensor


def fit_judge(samples: Sequence[JudgedSample], seed: int = 0) -> MaskJudge:
    """Fit a mask judge to the squared error of its IoU and to the IoU that choosing its best mask loses.

    Parameters
    ----------
    samples : sequence of JudgedSample
        At least 50.
    seed : int
        Seed of the initial weights and the batches; the rest is deterministic.

    Returns
    -------
    MaskJudge
        In evaluation mode.

    Raises
    ------
    TrainingError
        If there are too few samples.
    """
    if len(samples) < _MIN_SAMPLES:
        message = f"{len(samples)} predictions are too few to fit a mask judge"
        raise TrainingError(message, remedy=f"give more images, for at least {_MIN_SAMPLES} predictions")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = MaskJudge()
        numbers = torch.cat([sample.inputs.numbers for sample in samples]).float()
        judge.mean.copy_(numbers.mean(0))
        judge.scale.copy_(numbers.std(0) + 1e-2)
        optimizer = torch.optim.AdamW(judge.parameters(), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_STEPS, pct_start=_WARMUP)
        stacks = [
            _stacked([sample for sample in samples if len(sample.iou) == n])
            for n in sorted({len(sample.iou) for sample in samples})
        ]
        chances = [_chances(groups) for groups, _, _ in stacks]
        for _ in range(_STEPS):
            optimizer.zero_grad()
            for (groups, inputs, iou), chance in zip(stacks, chances, strict=True):
                share = len(groups) / len(samples)
                chosen = torch.from_numpy(rng.choice(len(groups), max(1, round(share * _BATCH)), p=chance))
                (share * _loss(judge, [x[chosen] for x in inputs], iou[chosen], rng)).backward()
            optimizer.step()
            schedule.step()
    return judge.eval().requires_grad_(False)


def _stacked(samples: Sequence[JudgedSample]) -> tuple[list[str], list[Tensor], Tensor]:
    """Stack samples of equally many masks: their groups, the four features (N, M, ...), and the IoU (N, M)."""
    inputs = [
        torch.stack([getattr(sample.inputs, field.name) for sample in samples]).float() for field in fields(JudgeInputs)
    ]
    return [sample.group for sample in samples], inputs, torch.stack([sample.iou for sample in samples]).float()


def _loss(judge: MaskJudge, inputs: Sequence[Tensor], iou: Tensor, rng: np.random.Generator) -> Tensor:
    """Compute the loss of predictions, their masks in random order, some batches without embeddings."""
    order = torch.from_numpy(rng.permutation(iou.shape[1]))
    iou = iou[:, order]
    numbers, *wide = (x[:, order] for x in inputs)
    blind = rng.random() < _BLIND
    wide = [torch.zeros_like(x) if blind else torch.nn.functional.dropout(x, _DROPOUT) for x in wide]
    predicted = torch.sigmoid(judge(JudgeInputs(numbers, *wide)))
    error = (predicted - iou).square().mean() + 0.3 * (predicted - iou).abs().mean()
    choice = (_SHARPNESS * predicted).softmax(-1)
    regret = (iou.max(-1).values - (choice * iou).sum(-1)).mean()
    return error + _RANK_WEIGHT * regret


def _chances(groups: Sequence[str]) -> NDArray[np.float64]:
    """Return the probability of each sample in a batch."""
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weights = sizes[index].astype(float) ** -_BALANCE
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances
