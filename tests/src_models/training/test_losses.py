"""Losses, with numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.training.config import TrainConfig
from src_models.training.losses import dice_loss, focal_loss, mask_iou, normalised_focal_loss, prompt_loss


def test_focal_loss_by_hand():
    logits, target = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    want = (0.25 * 0.25 * np.log(2) + 0.75 * 0.25 * np.log(2)) / 2
    assert float(focal_loss(logits, target)) == pytest.approx(want)


def test_normalised_focal_loss_by_hand():
    """Probabilities 1/2 and 1/4 with targets 1 and 0: weights 1/4 and 1/16, of which the mean is 5/32."""
    logits, target = torch.tensor([[0.0, -np.log(3.0)]]), torch.tensor([[1.0, 0.0]])
    want = 0.5 * (np.log(2) / 4 + np.log(4 / 3) / 16) / 2 / (5 / 32)
    assert float(normalised_focal_loss(logits, target)) == pytest.approx(want, rel=1e-5)


def test_the_normalisation_is_a_constant_for_the_gradient():
    logits = torch.tensor([[0.3, -1.0, 2.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0]])
    gradient = [
        torch.autograd.grad(loss(logits, target, 0.5).sum(), logits)[0] for loss in (normalised_focal_loss, focal_loss)
    ]
    ratio = (gradient[0] / gradient[1])[0]
    np.testing.assert_allclose(ratio, ratio[0])
    assert ratio[0] > 1


def test_an_all_but_perfect_mask_has_a_finite_loss():
    logits = torch.full((1, 8), 40.0, requires_grad=True)
    normalised_focal_loss(logits, torch.ones(1, 8)).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_the_configuration_chooses_the_focal_loss():
    logits, target = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0)), torch.ones(2, 6, 6)
    losses = []
    for kind in ("plain", "normalised"):
        config = TrainConfig(focal=1.0, dice_weight=0, iou_weight=0, focal_kind=kind)
        losses.append(float(prompt_loss(logits, torch.zeros(2, 4), target, torch.tensor([True, False]), config)[0]))
    assert losses[1] > 2 * losses[0]


def test_dice_loss_by_hand():
    sure = torch.tensor([[30.0, 30.0, -30.0]])
    target = torch.tensor([[1.0, 0.0, 0.0]])
    assert float(dice_loss(sure, target)) == pytest.approx(1 - 3 / 4)


def test_only_the_best_of_three_masks_is_trained_fully():
    target = torch.zeros(1, 2, 2)
    target[0, 0] = 1
    good, bad = torch.where(target > 0, 9.0, -9.0), torch.where(target > 0, -9.0, 9.0)
    logits = torch.stack([bad, good, bad, bad], dim=1).requires_grad_()
    config = TrainConfig(iou_weight=0)
    loss, iou = prompt_loss(logits, torch.zeros(1, 4), target, torch.tensor([True]), config)
    loss.backward()
    assert iou.tolist() == [[0.0, 1.0, 0.0, 0.0]]
    size = logits.grad.abs().sum((0, 2, 3))
    assert size[0] > 10 * size[2]  # the single mask is trained, the other two barely
    only, _ = prompt_loss(logits.detach()[:, [1, 1, 1, 1]], torch.zeros(1, 4), target, torch.tensor([True]), config)
    assert float(only) < 0.01


def test_the_paper_trains_one_mask_of_each_prompt():
    """Single point: the best of three only. More prompts: the single mask only. 20 focal + dice + squared error."""
    logits = torch.zeros(2, 4, 1, 2)
    logits[:, 0], logits[:, 2] = 1.0, 2.0  # of the three, number 2 fits a full mask best
    logits.requires_grad_()
    config = TrainConfig(recipe="paper", focal=1.0, pixel_weight=20.0, iou_all=False)
    predicted = torch.full((2, 4), 0.75)
    loss, _ = prompt_loss(logits, predicted, torch.ones(2, 1, 2), torch.tensor([False, True]), config)

    def by_hand(x):
        p = 1 / (1 + np.exp(-x))
        focal = 0.25 * (1 - p) ** 2 * -np.log(p)
        dice = 1 - (2 * 2 * p + 1) / (2 * p + 2 + 1)
        return 20 * focal + dice + (1 - 0.75) ** 2

    assert float(loss.detach()) == pytest.approx((by_hand(2.0) + by_hand(1.0)) / 2, rel=1e-5)
    loss.backward()
    trained = logits.grad.abs().sum((2, 3)) > 0
    assert trained.tolist() == [[False, False, True, False], [True, False, False, False]]


def test_the_quality_loss_is_squared_error():
    logits = torch.full((1, 4, 2, 2), 9.0)
    config = TrainConfig(pixel_weight=0, dice_weight=0)
    loss, iou = prompt_loss(logits, torch.full((1, 4), 0.5), torch.ones(1, 2, 2), torch.tensor([False]), config)
    assert iou.tolist() == [[1.0] * 4]
    assert float(loss) == pytest.approx(0.25)


def test_empty_masks_agree():
    assert float(mask_iou(torch.tensor([[-1.0]]), torch.tensor([[0.0]]))) == 1.0
