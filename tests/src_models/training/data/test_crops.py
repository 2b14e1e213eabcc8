"""Random crops of labelled images."""

from __future__ import annotations

import numpy as np

from src_models.training.config import TrainConfig
from src_models.training.data.crops import CropSampler
from src_models.training.data.labelled_images import LabelledImage


def test_crops_have_objects_at_every_scale(rng):
    labels = np.zeros((300, 400), np.int32)
    labels[100:130, 200:230] = 5
    pair = LabelledImage("p", np.repeat((labels > 0).astype(np.uint8)[..., None] * 200, 3, 2), labels)
    config = TrainConfig(crop_px=128, objects=3, synthetic_weight=0)
    sampler = CropSampler([(1.0, [pair])], config, 512)
    for _ in range(20):
        crop = sampler.draw(rng)
        assert crop.image.shape == (128, 128, 3)
        assert crop.masks.shape == (3, 128, 128)
        assert crop.masks.any((1, 2)).all()


def test_large_scale_jitter_spans_the_papers_range(rng):
    labels = np.zeros((100, 200), np.int32)
    labels[20:80, 50:150] = 1
    pair = LabelledImage("p", np.zeros((100, 200, 3), np.uint8), labels)
    sampler = CropSampler([(1.0, [pair])], TrainConfig(crops="jitter", synthetic_weight=0), 512)
    zooms = np.array([sampler._jitter(pair, rng)[0] for _ in range(300)]) * 200 / 512
    assert 0.1 <= zooms.min() < 0.2
    assert 1.9 < zooms.max() <= 2.0
