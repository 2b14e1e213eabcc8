"""Random crops of labelled images."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.training.config import TrainConfig
from src_models.training.data import crops
from src_models.training.data.crops import CropSampler
from src_models.training.data.labelled_images import LabelledImage
from src_models.training.synthetic.sample import PARTIAL_STYLES, WIDE_STYLES, synthetic_sample


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


@pytest.fixture
def pairs():
    labels = np.zeros((200, 200), np.int32)
    labels[80:120, 80:120] = 1
    dark, bright = (np.full((200, 200, 3), level, np.uint8) for level in (30, 220))
    return [[LabelledImage("dark", dark, labels)], [LabelledImage("bright", bright, labels)]]


def _sampler(pairs, pitch=0, partial=(), **settings):
    config = TrainConfig(crop_px=64, objects=2, **{"augment": 0.0, "synthetic_weight": 0.0} | settings)
    return CropSampler([(1.0, images) for images in pairs], config, 512, pitch, partial=partial)


def test_a_crop_comes_from_the_source_that_is_asked_for(rng, pairs):
    sampler = _sampler(pairs)
    for source, level in ((0, 30), (1, 220)):
        assert all((sampler.draw(rng, source).image == level).any() for _ in range(5))


def test_another_source_helps_out_if_one_has_no_usable_object(rng, pairs):
    speck = np.zeros((200, 200), np.int32)
    speck[100, 100] = 1
    pairs[0] = [LabelledImage("speck", pairs[0][0].image, speck)]
    sampler = _sampler(pairs, crops="jitter")
    assert np.median(sampler.draw(rng, 0).image[:4, :4]) != 30


def test_crops_of_a_partly_labelled_set_have_no_dense_target(rng, pairs):
    sampler = _sampler(pairs, pitch=2, partial=[1])
    assert sampler.draw(rng, 0).dense.shape == (3, 32, 32)
    assert sampler.draw(rng, 1).dense is None


def test_wide_styles_fill_their_share_of_synthetic_crops(pairs, monkeypatch):
    seen = []

    def sample(side, rng, textures, style):
        seen.append(style)
        return synthetic_sample(side, rng, textures, style)

    monkeypatch.setattr(crops, "synthetic_sample", sample)
    sampler = _sampler(pairs, pitch=2, synthetic_weight=1.0, synthetic_wide=0.5)
    for seed in range(40):
        crop = sampler.draw(np.random.default_rng(seed), 2)
        assert (crop.dense is None) == (seen[-1] in PARTIAL_STYLES)
    assert 10 < sum(style is not None for style in seen) < 30
    assert set(seen) - {None} <= set(WIDE_STYLES)


def test_the_share_of_jittered_crops_is_that_of_the_settings(pairs, monkeypatch):
    sampler = _sampler(pairs, jitter_share=0.25)
    jittered = []
    jitter = sampler._jitter
    monkeypatch.setattr(sampler, "_jitter", lambda *a: jittered.append(1) or jitter(*a))
    for seed in range(200):
        sampler._cut_any(0, 64, False, np.random.default_rng(seed))
    assert 30 < len(jittered) < 70


def test_pasted_crops_have_more_objects(pairs):
    plain, pasted = (
        np.mean([_sampler(pairs, paste=share).draw(np.random.default_rng(i), 0).labels.max() for i in range(20)])
        for share in (0.0, 1.0)
    )
    assert plain == 1
    assert pasted > 2


def test_validation_crops_are_never_changed(pairs):
    config = TrainConfig(crop_px=64, objects=1, paste=1.0, jitter_share=1.0, synthetic_wide=1.0)
    drawn = [
        CropSampler([(1.0, pairs[0])], c, 512, plain=True).draw(np.random.default_rng(3))
        for c in (config, TrainConfig(crop_px=64, objects=1))
    ]
    np.testing.assert_array_equal(drawn[0].labels, drawn[1].labels)


def test_the_side_of_a_crop_can_be_given(rng, pairs):
    crop = _sampler(pairs, pitch=2).draw(rng, side=96)
    assert crop.image.shape == (96, 96, 3)
    assert crop.dense.shape == (3, 48, 48)


def test_large_scale_jitter_spans_the_papers_range(rng):
    labels = np.zeros((100, 200), np.int32)
    labels[20:80, 50:150] = 1
    pair = LabelledImage("p", np.zeros((100, 200, 3), np.uint8), labels)
    sampler = CropSampler([(1.0, [pair])], TrainConfig(crops="jitter", synthetic_weight=0), 512)
    zooms = np.array([sampler._jitter(pair, rng)[0] for _ in range(300)]) * 200 / 512
    assert 0.1 <= zooms.min() < 0.2
    assert 1.9 < zooms.max() <= 2.0
