"""Prompts of simulated users, round by round."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.training.data.crops import Crop
from src_models.training.loop.prompted_batch import PAPER_ROUNDS, PromptedBatch


@pytest.fixture
def crop():
    masks = np.zeros((4, 128, 128), bool)
    masks[:, 30:90, 30:90] = True
    return Crop(np.zeros((128, 128, 3), np.uint8), masks, masks[0].astype(np.int32))


def test_later_rounds_add_clicks_and_mask_prompts(rng, crop):
    batch = PromptedBatch([crop], rng, 8, (0, 0))
    before = [len(p) for p in batch.points]
    batch.add_corrections(np.array([1, 3]), torch.full((2, 64, 64), -5.0))
    after = [len(p) for p in batch.points]
    assert np.subtract(after, before).tolist() == [0, 1, 0, 1]
    assert all(batch.truth[i][p[-1][0], p[-1][1]] == p[-1][2] for i, p in enumerate(batch.points) if i in (1, 3))
    coords, marks = batch.tokens()
    assert coords.shape[:2] == marks.shape


def test_the_paper_starts_with_a_point_or_a_box(rng, crop):
    boxes = [b is not None for _ in range(60) for b in PromptedBatch([crop], rng, 8, (0, 0), "paper").boxes]
    assert 0.4 < np.mean(boxes) < 0.6
    batch = PromptedBatch([crop], rng, 8, (0, 0), "paper")
    assert not batch.single_mask.any()  # one prompt each, so three masks, box or not
    quick = PromptedBatch([crop], rng, 8, (0, 0))
    assert quick.single_mask.tolist() == [b is not None for b in quick.boxes]  # there a box is hardly ambiguous


def test_the_paper_has_eleven_rounds_two_of_them_without_a_click(rng, crop):
    seen = set()
    for _ in range(60):
        clicks = PromptedBatch([crop], rng, 8, (0, 0), "paper").paper_schedule()
        assert len(clicks) + 1 == PAPER_ROUNDS
        assert clicks.count(True) == 8
        assert clicks[-1] is False
        seen.add(clicks.index(False))
    assert len(seen) > 6  # the other one is anywhere among them


def test_a_round_without_a_click_adds_only_the_mask_prompt(rng, crop):
    batch = PromptedBatch([crop], rng, 8, (0, 0), "paper")
    before = [list(p) for p in batch.points]
    batch.add_corrections(np.arange(4), torch.full((4, 64, 64), 30.0), click=False)
    assert batch.points == before
    assert batch.has_mask.all()
    assert batch.single_mask.all()  # the mask is a second prompt
    assert float(batch.logits.max()) == 16.0


def test_prompts_move_with_the_position_of_the_crop(rng, crop):
    at = PromptedBatch([crop], np.random.default_rng(5), 8, (0, 0)).tokens()[0]
    moved = PromptedBatch([crop], np.random.default_rng(5), 8, (3, 7)).tokens()[0]
    real = (at != 0).any(-1)
    torch.testing.assert_close((moved - at)[real], torch.tensor([56.0, 24.0]).expand_as(at)[real])
