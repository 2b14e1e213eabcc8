"""The score from which objects are filled in."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.project.stages.threshold import DEFAULT, learn_threshold


def simulated(number, half, slope=30.0):
    """Return judged objects that are accepted with a probability of one half at a score."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.4, 1.0, number)
    return [(float(s), bool(rng.uniform() < 1 / (1 + np.exp(-slope * (s - half))))) for s in scores]


def test_it_is_the_default_until_twenty_objects_are_judged():
    few = learn_threshold([(0.9, False)] * 19)
    assert (few.value, few.judged, few.accepted, few.is_learned) == (DEFAULT, 19, 0, False)
    assert learn_threshold([(0.9, False)] * 20).is_learned


@pytest.mark.parametrize("half", [0.5, 0.7, 0.8])
def test_it_finds_the_score_at_which_nine_of_ten_are_accepted(half):
    expected = half + np.log(9) / 30
    assert learn_threshold(simulated(2000, half)).value == pytest.approx(expected, abs=0.04)


def test_accepted_objects_lower_it_step_by_step_and_rejected_ones_raise_it():
    lower = [learn_threshold([(0.8, True)] * number).value for number in (20, 40, 80)]
    assert DEFAULT > lower[0] > lower[1] > lower[2] > 0.5
    higher = [learn_threshold([(0.8, True)] * 30 + [(0.8, False)] * number).value for number in (3, 6, 10)]
    assert lower[-1] < higher[0] < higher[1] < higher[2] <= 0.95
    assert higher[2] > DEFAULT


def test_scores_that_tell_nothing_leave_it_in_its_range():
    rng = np.random.default_rng(1)
    noise = [(float(s), bool(b)) for s, b in zip(rng.uniform(0, 1, 300), rng.integers(0, 2, 300), strict=True)]
    assert 0.75 < learn_threshold(noise).value <= 0.95
