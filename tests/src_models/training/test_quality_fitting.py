"""Fitting a quality head, on samples whose true IoU follows a known rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam.evaluation.experiments.quality_calibration import calibrate
from src_models.checkpoints.checkpoint_files import load_sam
from src_models.model_errors import TrainingError
from src_models.networks.quality_head import FEATURES
from src_models.training.config import FolderConfig
from src_models.training.quality_fitting import FittingSample, fit_quality

_SOFT = FEATURES.index("soft IoU")


def _samples(rng, count=200):
    """The decoder's own scores are noise; the truth is the soft IoU."""
    samples = []
    for i in range(count):
        features = rng.random((3 if i % 4 else 1, len(FEATURES))).astype(np.float32)
        samples.append(FittingSample("ab"[i % 2], features, 0.2 + 0.6 * features[:, _SOFT]))
    return samples


def test_a_head_finds_what_the_truth_follows(rng):
    head = fit_quality(_samples(rng))
    fresh = _samples(rng)
    error = np.concatenate([np.abs(head(torch.from_numpy(a.features)).numpy() - a.iou) for a in fresh])
    assert error.mean() < 0.05
    chosen = [a.iou[int(head(torch.from_numpy(a.features)).argmax())] / a.iou.max() for a in fresh]
    assert np.mean(chosen) > 0.97


def test_the_same_samples_and_seed_give_the_same_head(rng):
    samples = _samples(rng)
    first, second = (fit_quality(samples, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_too_few_predictions_are_refused(rng):
    with pytest.raises(TrainingError, match="10 predictions"):
        fit_quality(_samples(rng, 10))


def test_a_calibrated_model_is_the_old_one_and_a_head(tmp_path, nuclei):
    import tifffile

    image, labels = nuclei
    tifffile.imwrite(tmp_path / "one.image.tif", image)
    tifffile.imwrite(tmp_path / "one.labels.tif", labels.astype(np.uint16))
    out = tmp_path / "new.safetensors"
    count = calibrate("default", tmp_path, [FolderConfig(".", 1.0)], out, per_image=9, device="cpu")
    old, new = load_sam("default").state_dict(), load_sam(out).state_dict()
    assert count == 54  # nine objects, each asked six times
    assert all(torch.equal(new[key], value) for key, value in old.items() if not key.startswith("quality_head."))
    assert any(key.startswith("quality_head.") for key in new)
