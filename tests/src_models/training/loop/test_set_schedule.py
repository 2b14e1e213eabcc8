"""Shares of the data sets in every step."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.training.loop.set_schedule import balanced_sources


@pytest.mark.parametrize("crops", [4, 7, 16])
def test_every_step_has_the_shares_rounded_up_or_down(crops):
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    for step in range(40):
        counts = np.bincount(balanced_sources(shares, crops, step, seed=1), minlength=4)
        assert counts.sum() == crops
        assert (np.abs(counts - crops * shares) < 1).all()


def test_small_shares_hold_over_few_steps():
    """Random sampling would give the smallest set between 8 and 33 of 400 crops, in most runs."""
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    counts = sum(np.bincount(balanced_sources(shares, 4, step, 0), minlength=4) for step in range(100))
    np.testing.assert_allclose(counts, 400 * shares, atol=3)


def test_a_data_set_without_a_share_is_never_chosen():
    shares = np.array([0.0, 1.0, 0.0])
    assert all((balanced_sources(shares, 5, step, 0) == 1).all() for step in range(30))


def test_the_order_is_random_and_seeded():
    shares = np.full(4, 0.25)
    steps = [balanced_sources(shares, 4, step, 0).tolist() for step in range(10)]
    assert len({tuple(s) for s in steps}) > 4
    assert balanced_sources(shares, 4, 3, 0).tolist() == steps[3]
    assert [balanced_sources(shares, 4, step, 1).tolist() for step in range(10)] != steps
