"""The network's masks for an object that is expected at a place."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.propagation.carriers.candidate_choice import (
    CandidateChoice,
    belonging_parts,
    inner_point,
    with_prior,
)
from napari_sam.engine.propagation.carriers.plane_decoder import Candidates
from napari_sam.engine.windows import Window

WINDOW = Window((0, 0, 64, 64), 64)


def square(y, x, side=16):
    mask = np.zeros((64, 64), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def candidates(*pairs):
    logits = np.stack([np.where(mask, 6.0, -6.0) for mask, _ in pairs]).astype(np.float32)
    return Candidates(logits, np.array([score for _, score in pairs], np.float32), WINDOW, 1)


def choice(mask):
    return CandidateChoice(MaskPrompt(mask, (0, 0, 64, 64)))


def test_the_mask_that_overlaps_is_chosen_over_one_that_scores_better():
    offered = candidates((square(40, 40), 0.9), (square(10, 12), 0.6))
    assert choice(square(10, 10)).best(offered) == 1


def test_of_masks_that_overlap_alike_the_better_score_is_chosen():
    offered = candidates((square(10, 12), 0.4), (square(10, 8), 0.8))
    assert choice(square(10, 10)).best(offered) == 1


def test_parts_that_do_not_touch_the_object_are_dropped():
    kept = choice(square(10, 10)).chosen(candidates((square(10, 10) | square(40, 40), 0.9)))
    assert ((kept.logits > 0) == square(10, 10)).all()
    assert kept.events == ()


def test_an_object_that_splits_keeps_both_parts():
    halves = square(10, 10, 20)
    halves[:, 19:21] = False
    kept = choice(square(10, 10, 20)).chosen(candidates((halves, 0.95)))
    assert ((kept.logits > 0) == halves).all()
    assert kept.events == ("split",)


def test_nothing_is_chosen_of_empty_masks():
    assert choice(square(10, 10)).chosen(candidates((np.zeros((64, 64), bool), 1.0))) is None


def test_an_uncertain_mask_is_drawn_towards_the_expected_one():
    logits = np.where(square(10, 10, 24), 6.0, -6.0).astype(np.float32)
    expected = square(10, 10, 20)
    sizes = [np.count_nonzero(with_prior(logits, expected, weight) > 0) for weight in (0.0, 0.5, 50.0)]
    assert sizes[0] == 24**2
    assert sizes[0] >= sizes[1] >= sizes[2] == 20**2


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_where_mask_and_expectation_agree_nothing_changes(weight):
    logits = np.where(square(10, 10), 6.0, -6.0).astype(np.float32)
    assert ((with_prior(logits, square(10, 10), weight) > 0) == (logits > 0)).all()


def test_specks_are_dropped_and_holes_filled():
    mask = square(10, 10, 20) | square(40, 40, 2)
    mask[15, 15] = False
    found, count = belonging_parts(mask, square(10, 10, 20) | square(38, 38, 6))
    assert (found == square(10, 10, 20)).all()
    assert count == 1


def test_without_a_part_in_place_the_largest_is_kept():
    found, count = belonging_parts(square(40, 40, 10) | square(2, 2, 4), square(20, 20, 4))
    assert (found == square(40, 40, 10)).all()
    assert count == 1


def test_the_inner_point_is_farthest_from_the_outline():
    assert inner_point(square(10, 20, 11)).tolist() == [15, 25]


def test_evidence_comes_from_the_prompt_that_does_not_know_the_object():
    kept = choice(square(10, 10)).chosen(candidates((square(40, 40), 0.9), (square(10, 10), 0.9)))
    assert kept.agreement == 1
    assert kept.evidence == 0
