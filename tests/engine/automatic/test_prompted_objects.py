"""Proposals as prompts: where they are decoded, which branch draws the outline, and how objects are merged."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from napari_sam.engine.automatic.object_proposals import Proposal
from napari_sam.engine.automatic.prompted_objects import EncodedWindow, RegionObject, merge_objects, prompt_objects
from napari_sam.engine.geometry import Box
from src_models.networks.mask_decoder import DecodedMasks


class SquareRunner:
    """Decodes every prompt to a square of given half-width around its point; records what it was asked."""

    img_size, device, dtype = 512, torch.device("cpu"), torch.float32

    def __init__(self, half_px=20.0, score=0.9):
        self.half_px, self.score, self.asked = half_px, score, []

    def decode_crops(self, embedding, prompts):
        self.asked.append((embedding, prompts))
        cells = 4 * prompts.side
        logits = torch.full((len(prompts.coords), 3, cells, cells), -5.0)
        centres = (torch.arange(cells) + 0.5) * 2
        for k, (origin, coords) in enumerate(zip(prompts.origins, prompts.coords, strict=True)):
            x, y = coords[0] + 0.5
            rows = (centres + 8 * origin[0] - y).abs() < self.half_px
            cols = (centres + 8 * origin[1] - x).abs() < self.half_px
            logits[k, 1][rows[:, None] & cols[None]] = 5.0
        return DecodedMasks(logits, torch.tensor([[0.1, self.score, 0.2]]).expand(len(logits), -1))


def _window(x0=0, shape=(512, 512), network_shape=(512, 512)):
    return EncodedWindow(Box(0, x0, shape[0], x0 + shape[1]), network_shape, torch.full((1, 1, 64, 64), float(x0)))


def _square(y, x, half, **extra):
    box = Box(y - half, x - half, y + half, x + half)
    return Proposal(box, np.ones(box.shape, bool), 0.8, 0.7, **extra)


def _prompt(runner, windows, proposals, with_masks=True):
    return prompt_objects(runner, windows, proposals, with_masks=with_masks, device_turn=nullcontext)


def test_where_both_branches_agree_the_mask_decoder_draws_the_outline():
    (found,) = _prompt(SquareRunner(), [_window()], [_square(100, 200, 19)])
    assert found.mask.shape == pytest.approx((40, 40), abs=2)
    agreement = 38**2 / found.mask.sum()
    assert found.predicted_iou == pytest.approx(-0.28 + 0.74 * 0.8 + 0.44 * 0.9 + 0.17 * agreement, abs=0.01)


def test_where_they_do_not_the_watershed_does_and_the_score_falls():
    (found,) = _prompt(SquareRunner(half_px=40), [_window()], [_square(100, 200, 20)])
    assert found.box == Box(80, 180, 120, 220)
    assert found.predicted_iou == pytest.approx(-0.28 + 0.74 * 0.8 + 0.44 * 0.9 + 0.17 * 0.25, abs=0.02)


def test_a_candidate_is_an_object_only_by_its_mask():
    candidate = _square(100, 200, 20, is_candidate=True)
    (found,) = _prompt(SquareRunner(half_px=40), [_window()], [candidate])
    assert found.mask.shape == pytest.approx((80, 80), abs=2)
    assert _prompt(SquareRunner(half_px=0), [_window()], [candidate]) == []


def test_an_empty_mask_leaves_the_object_of_the_watershed():
    (found,) = _prompt(SquareRunner(half_px=0), [_window()], [_square(100, 200, 20)])
    assert (found.box, found.predicted_iou) == (Box(80, 180, 120, 220), 0.8)


def test_every_proposal_is_decoded_in_the_window_that_shows_it_best():
    windows = [_window(0), _window(400)]
    runner = SquareRunner()
    _prompt(runner, windows, [_square(100, 390, 20), _square(300, 600, 20)])
    assert {float(embedding[0, 0, 0, 0]): len(prompts.coords) for embedding, prompts in runner.asked} == {0: 1, 400: 1}
    x, y = runner.asked[1][1].coords[0, 0].tolist()
    assert (x, y) == pytest.approx((200, 300), abs=1)


def test_a_candidate_that_its_window_cuts_is_left_out():
    assert _prompt(SquareRunner(), [_window()], [_square(100, 505, 20, is_candidate=True)]) == []


def test_crops_and_mask_prompts_follow_the_magnification():
    runner = SquareRunner(half_px=80)
    (found,) = _prompt(runner, [_window(shape=(128, 128))], [_square(60, 60, 20)])  # 4 pixels of the network each
    ((_, prompts),) = runner.asked
    assert prompts.side == 48  # an object of 160 pixels or 20 cells needs 40
    assert int((prompts.masks > 0).sum()) == 80 * 80  # logits are 2 pixels of the network apart
    assert found.mask.shape == pytest.approx((40, 40), abs=1)


def test_models_without_mask_prompts_get_points_alone():
    runner = SquareRunner()
    _prompt(runner, [_window()], [_square(100, 200, 20)], with_masks=False)
    assert runner.asked[0][1].masks is None


def test_the_number_of_prompts_is_bounded_and_the_rest_stays():
    runner = SquareRunner(half_px=3)
    proposals = [_square(10 + 20 * (i // 20), 20 + 20 * (i % 20), 4) for i in range(200)]
    found = _prompt(runner, [_window()], proposals)
    assert len(found) == 200
    assert sum(len(prompts.coords) for _, prompts in runner.asked) == 128


def test_the_better_object_keeps_shared_pixels_and_drops_what_it_covers():
    full = np.ones((10, 10), bool)
    objects = [
        RegionObject(Box(0, 9, 10, 19), full, 0.5, 0.1),  # a tenth is covered
        RegionObject(Box(0, 0, 10, 10), full, 0.9, 0.2),
        RegionObject(Box(2, 2, 12, 12), full, 0.7, 0.3),
    ]
    labels, kept = merge_objects((12, 20), objects)
    assert kept == [1, 0]
    assert np.bincount(labels.ravel()).tolist() == [240 - 190, 100, 90]


def test_objects_are_cut_at_the_border_of_the_region():
    labels, kept = merge_objects((5, 5), [RegionObject(Box(-3, -3, 2, 2), np.ones((5, 5), bool), 0.9, 1.0)])
    assert kept == [0]
    assert labels.sum() == 4
    outside = RegionObject(Box(-5, 0, 0, 5), np.ones((5, 5), bool), 0.9, 1.0)
    assert merge_objects((5, 5), [outside])[1] == []
