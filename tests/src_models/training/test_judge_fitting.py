"""Fitting a mask judge, on samples whose true IoU follows a known rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.model_errors import TrainingError
from src_models.networks.mask_judge import MAP_FEATURES, SIMILARITIES, SIZE_FEATURES, JudgeInputs
from src_models.networks.quality_head import FEATURES
from src_models.training.judge_fitting import JudgedSample, fit_judge

_COUNT = len(FEATURES) + len(MAP_FEATURES) + len(SIZE_FEATURES) + len(SIMILARITIES)
_SOFT = FEATURES.index("soft IoU")


def _samples(rng, count=200):
    """The decoder's own scores are noise; the truth is the soft IoU."""
    samples = []
    for i in range(count):
        masks = 3 if i % 4 else 1
        numbers = torch.from_numpy(rng.random((masks, _COUNT)).astype(np.float32))
        wide = [torch.from_numpy(rng.normal(size=(masks, 256)).astype(np.float32)) for _ in range(3)]
        samples.append(JudgedSample("ab"[i % 2], JudgeInputs(numbers, *wide), 0.2 + 0.6 * numbers[:, _SOFT]))
    return samples


def _predicted(judge, sample):
    one = JudgeInputs(*(getattr(sample.inputs, name)[None] for name in ("numbers", "token", "inside", "around")))
    with torch.inference_mode():
        return torch.sigmoid(judge(one))[0]


def test_a_judge_finds_what_the_truth_follows(rng):
    judge = fit_judge(_samples(rng, 400))
    fresh = _samples(rng)
    error = torch.cat([(_predicted(judge, s) - s.iou).abs() for s in fresh])
    assert float(error.mean()) < 0.08
    chosen = [float(s.iou[int(_predicted(judge, s).argmax())] / s.iou.max()) for s in fresh]
    assert np.mean(chosen) > 0.95


def test_the_same_samples_and_seed_give_the_same_judge(rng):
    samples = _samples(rng, 60)
    first, second = (fit_judge(samples, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_too_few_predictions_are_refused(rng):
    with pytest.raises(TrainingError, match="10 predictions"):
        fit_judge(_samples(rng, 10))
