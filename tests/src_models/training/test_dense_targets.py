"""What the dense decoder learns, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.networks.dense_decoder import BOUNDARY, CENTRE, FOREGROUND, DenseDecoder
from src_models.training.dense_targets import dense_loss, dense_target


def test_targets_of_two_touching_objects():
    labels = np.zeros((9, 12), np.int32)
    labels[2:7, 1:6], labels[2:7, 6:11] = 4, 9  # two squares of five pixels, side by side
    target = dense_target(labels, 1)
    np.testing.assert_array_equal(target[FOREGROUND], labels > 0)
    for left in (1, 6):
        assert target[CENTRE, 4, left + 2] == 0
        assert target[CENTRE, 2, left] == 1  # a corner is the farthest
        assert target[BOUNDARY, 4, left + 2] == 0
        # A side's pixel lies one pixel from the outside, the middle three: 1 - 1 / 3.
        assert target[BOUNDARY, 4, left] == pytest.approx(2 / 3)
    assert (target[1:, labels == 0] == 1).all()


def test_the_border_of_the_image_is_no_boundary():
    labels = np.zeros((8, 8), np.int32)
    labels[:, :4] = 1
    target = dense_target(labels, 1)
    assert target[BOUNDARY, :, 0].tolist() == [0] * 8  # deepest at the image's border
    full = dense_target(np.ones((8, 8), np.int32), 2)
    assert np.isfinite(full).all()
    assert (full[BOUNDARY] == 0).all()


def test_coarse_targets_hold_shares():
    labels = np.zeros((4, 4), np.int32)
    labels[0, 0] = labels[1, 1] = labels[1, 0] = 1
    assert dense_target(labels, 2)[FOREGROUND].tolist() == [[0.75, 0.0], [0.0, 0.0]]


def test_a_perfect_prediction_costs_nothing():
    labels = np.zeros((32, 32), np.int32)
    labels[4:20, 6:30] = 1
    target = torch.from_numpy(dense_target(labels, 1))[None]
    perfect = torch.logit(target.clamp(1e-6, 1 - 1e-6))
    assert float(dense_loss(perfect, target)) == pytest.approx(0, abs=2e-3)
    assert float(dense_loss(-perfect, target)) > 1


def test_a_decoder_learns_one_image():
    torch.manual_seed(0)
    decoder = DenseDecoder(8)
    labels = np.zeros((64, 64), np.int32)
    labels[10:30, 10:30], labels[40:60, 20:50] = 1, 2
    target = torch.from_numpy(dense_target(labels, 1))[None]
    embedding = torch.randn(1, 8, 16, 16)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = dense_loss(decoder.logits(embedding), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    out = decoder(embedding)
    assert out.shape == (1, 3, 64, 64)
    assert out.min() >= 0
    assert out.max() <= 1
