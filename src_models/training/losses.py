"""Losses of promptable segmentation, as in section A of the Segment Anything paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from src_models.training.config import TrainConfig

_LEAST_WEIGHT = 1e-6  # mean focusing weight of an all but perfect mask


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Compute the focal loss, averaged over the pixels of each mask.

    Parameters
    ----------
    logits : Tensor
        (..., H, W).
    target : Tensor
        (..., H, W) in [0, 1].
    alpha : float
        Weight of the foreground; negative for none.
    gamma : float
        Focusing parameter; 0 for weighted cross-entropy.

    Returns
    -------
    Tensor
        (...). Source: Lin et al., 2017, eq. 5.

    Examples
    --------
    At probability 1/2 and target 1 the loss is 0.25 * 0.5 ** 2 * ln 2:

    >>> float(focal_loss(torch.zeros(1, 1), torch.ones(1, 1)))  # doctest: +ELLIPSIS
    0.0433...
    """
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = torch.sigmoid(logits)
    wrong = p + target - 2 * p * target
    weight = alpha * target + (1 - alpha) * (1 - target) if alpha >= 0 else 1.0
    return (weight * wrong.pow(gamma) * bce).mean((-2, -1))


def normalised_focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.5, gamma: float = 2.0) -> Tensor:
    """Compute the focal loss divided by the mean of its focusing weights, which are taken as constants.

    The plain loss fades as a mask improves, because all its weights become small; here the weights only distribute the
    loss among the pixels (Sofiiuk et al., 2022, "Reviving Iterative Training with Mask Guidance", eq. 3). Shapes and
    parameters as in `focal_loss`, but `alpha` is from 0.

    Examples
    --------
    With equal weights on both pixels it is alpha times the cross-entropy, 0.5 * ln 2:

    >>> float(normalised_focal_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])))  # doctest: +ELLIPSIS
    0.3465...
    """
    p = torch.sigmoid(logits.detach())
    mean_weight = (p + target - 2 * p * target).pow(gamma).mean((-2, -1))
    return focal_loss(logits, target, alpha, gamma) / mean_weight.clamp(min=_LEAST_WEIGHT)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Compute one minus the soft Dice coefficient of each mask, smoothed by 1.

    Source: Milletari et al., 2016, with SAM 2's smoothing. Shapes as in `focal_loss`.

    Examples
    --------
    Probabilities of 1/2 on two pixels, one of them foreground: 1 - (2 * 0.5 + 1) / (1 + 1 + 1):

    >>> float(dice_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])))  # doctest: +ELLIPSIS
    0.3333...
    """
    p = torch.sigmoid(logits)
    both = (p * target).sum((-2, -1))
    return 1 - (2 * both + 1) / (p.sum((-2, -1)) + target.sum((-2, -1)) + 1)


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the intersection over union of thresholded masks, (...); 1 if both are empty.

    >>> float(mask_iou(torch.tensor([[1.0, 1.0, -1.0]]), torch.tensor([[1.0, 0.0, 0.0]])))
    0.5
    """
    a, b = logits > 0, target > 0.5
    both = (a & b).sum((-2, -1)).float()
    either = (a | b).sum((-2, -1)).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both))


def prompt_loss(
    logits: Tensor, predicted_iou: Tensor, target: Tensor, single_mask: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Compute the loss of N prompts, of which all four masks are given.

    The recipe of the paper trains one mask of each object: the single mask if there is more than one prompt, else the
    mask with the lowest loss of the three (Kirillov et al., 2023, appendix A, "Losses and training"). The quick recipe
    trains the best of three for every object, the others with a small weight so that they do not degenerate, and the
    single mask, mostly if there is more than one prompt.

    Parameters
    ----------
    logits : Tensor
        (N, 4, H, W); index 0 is the single mask.
    predicted_iou : Tensor
        (N, 4).
    target : Tensor
        (N, H, W) in [0, 1].
    single_mask : Tensor
        (N,) bool, True where the single mask is used.
    config : TrainConfig
        Recipe and weights.

    Returns
    -------
    loss : Tensor
        Scalar, the mean over prompts.
    iou : Tensor
        (N, 4) true IoU of the masks.
    """
    target4 = target[:, None].expand_as(logits)
    each = config.dice_weight * dice_loss(logits, target4)  # (N, 4)
    if config.focal < 1:
        pixel = F.binary_cross_entropy_with_logits(logits, target4, reduction="none").mean((-2, -1))
        each = each + config.pixel_weight * (1 - config.focal) * pixel
    if config.focal > 0:
        focal = normalised_focal_loss if config.focal_kind == "normalised" else focal_loss
        each = each + config.pixel_weight * config.focal * focal(logits, target4)
    iou = mask_iou(logits.detach(), target4)
    wrong = (predicted_iou - iou).square()
    if config.recipe == "paper":
        chosen = torch.where(single_mask, 0, 1 + each[:, 1:].argmin(1))[:, None]
        quality = wrong.mean(1) if config.iou_all else wrong.gather(1, chosen)[:, 0]
        return (each.gather(1, chosen)[:, 0] + config.iou_weight * quality).mean(), iou
    best = each[:, 1:].min(1)
    chosen = torch.where(single_mask, 0, 1 + best.indices)[:, None]
    quality = wrong.mean(1) if config.iou_all else wrong.gather(1, chosen)[:, 0]
    multi = best.values + 0.05 * each[:, 1:].mean(1)
    single = each[:, 0] * torch.where(single_mask, 1.0, 0.3)
    return (multi + single + config.iou_weight * quality).mean(), iou
