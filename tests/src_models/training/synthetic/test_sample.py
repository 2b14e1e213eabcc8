"""Synthetic images: every style, exact masks, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from src_models.training.synthetic.parts import camera, mosaic, stamp, superellipse, tidy
from src_models.training.synthetic.sample import STYLES, WIDE_STYLES, synthetic_sample

ALL_STYLES = (*STYLES, *WIDE_STYLES)


def samples(style, count=12, side=128):
    for seed in range(count):
        yield synthetic_sample(side, np.random.default_rng(seed), style=style)


@pytest.mark.parametrize("style", ALL_STYLES)
def test_every_style_gives_numbered_objects_of_a_useful_size(style):
    for image, labels in samples(style):
        assert image.shape == (128, 128, 3)
        assert image.dtype == np.uint8
        assert labels.shape == (128, 128)
        assert labels.dtype == np.int32
        sizes = np.bincount(labels.ravel())
        assert labels.min() >= 0
        assert 2 <= len(sizes) <= 300
        assert sizes[1:].min() >= 24  # numbered without gaps, no crumbs


@pytest.mark.parametrize("style", [*ALL_STYLES, None])
def test_the_same_seed_gives_the_same_sample(style):
    textures = [np.random.default_rng(5).integers(0, 255, (90, 70, 3)).astype(np.uint8)]
    for seed in range(4):
        image, labels = synthetic_sample(96, np.random.default_rng(seed), textures, style)
        again, labels_again = synthetic_sample(96, np.random.default_rng(seed), textures, style)
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(labels, labels_again)


@pytest.mark.parametrize("style", ALL_STYLES)
@pytest.mark.parametrize("side", [48, 100, 257])
def test_any_side_works(style, side):
    for image, labels in samples(style, 3, side):
        assert image.shape == (side, side, 3)
        assert labels.shape == (side, side)


@pytest.mark.parametrize("style", STYLES)
def test_most_objects_are_one_part_and_every_part_is_large(style):
    """Covered objects may be in several parts, each at least 24 pixels."""
    whole = total = 0
    for _, labels in samples(style):
        for label in range(1, labels.max() + 1):
            parts, count = ndimage.label(labels == label)
            assert np.bincount(parts.ravel())[1:].min() >= 24
            whole += count == 1
            total += 1
    assert whole > 0.9 * total


@pytest.mark.parametrize("style", ALL_STYLES)
def test_the_image_changes_at_the_borders_of_the_masks(style):
    """The mean gradient on borders is above that elsewhere in most samples, though noise and texture dilute it."""
    clear = 0
    for image, labels in samples(style, 24):
        grey = ndimage.gaussian_filter(image.astype(float).mean(2), 1)
        slope = np.hypot(*np.gradient(grey))
        edge = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
        clear += slope[edge].mean() > 1.15 * slope[~edge].mean()
    assert clear >= 0.75 * 24


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_diverse(style):
    """Samples of one style differ in brightness, in the number of objects and in their size."""
    made = list(samples(style, 24))
    assert np.std([image.mean() for image, _ in made]) > 15
    counts = [labels.max() for _, labels in made]
    assert max(counts) >= 3 * min(counts)
    spans = [np.sqrt(np.bincount(labels.ravel())[1:].mean()) / 128 for _, labels in made]
    assert max(spans) > 2.5 * min(spans)


@pytest.mark.parametrize("style", WIDE_STYLES)
def test_a_wide_style_varies_in_colour_and_contrast(style):
    made = [image for image, _ in samples(style, 24)]
    assert np.std([image.mean() for image in made]) > 25
    assert np.ptp([image.std() for image in made]) > 30
    colourful = [np.ptp(image.reshape(-1, 3).mean(0)) for image in made]
    assert max(colourful) > 60


def test_thin_styles_are_thin():
    """Most of their pixels lie within a few pixels of the outline, unlike those of nuclei."""

    def depth(style):
        return np.mean([ndimage.distance_transform_edt(labels > 0)[labels > 0].mean() for _, labels in samples(style)])

    assert max(depth("cracks"), depth("thin_cells")) < 0.6 * depth("shapes")


def test_things_hide_each_other():
    hidden = 0
    for _, labels in samples("scenes", 24):
        edges = (labels[1:] != labels[:-1]) & (labels[1:] > 0) & (labels[:-1] > 0)
        hidden += edges.sum() > 5
    assert hidden > 6


def test_an_unknown_style_is_refused_by_name():
    with pytest.raises(ValueError, match="nucleii"):
        synthetic_sample(64, np.random.default_rng(0), style="nucleii")


def test_styles_are_mixed_when_none_is_asked_for():
    coloured = [np.ptp(synthetic_sample(64, np.random.default_rng(seed))[0], axis=2).max() > 0 for seed in range(20)]
    assert 2 < sum(coloured) < 18


def test_a_stamp_measures_an_ellipse(rng):
    mark = stamp(64, (30.2, 33.7), superellipse(rng, 1.0, 2.0) * np.float32(10))
    assert mark.inside.sum() == pytest.approx(np.pi * 100, rel=0.03)
    y, x = np.argwhere(mark.inside).mean(0) + [s.start for s in mark.box]
    assert (y, x) == pytest.approx((30.2, 33.7), abs=0.3)
    np.testing.assert_array_equal(mark.alpha(1.0) > 0.5, mark.inside)
    assert stamp(64, (-30.0, 5.0), np.full(256, 10, np.float32)) is None


def test_mosaic_gap_is_small_at_borders_only(rng):
    labels, gap = mosaic(96, 24, rng, 0.3, 0.05)
    edge = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    assert gap[edge].max() < 3
    assert gap[~edge].mean() > 3 * gap[edge].mean()


def test_tidy_drops_crumbs_and_numbers_from_one():
    labels = np.zeros((40, 40), np.int32)
    labels[2:12, 2:12] = labels[20:30, 2:12] = 7  # two parts of one object
    labels[35, 35] = 7
    labels[38, 2:5] = 9
    kept = tidy(labels)
    assert np.bincount(kept.ravel()).tolist() == [1400, 200]
    assert np.bincount(tidy(labels, split=True).ravel()).tolist() == [1400, 100, 100]


def test_camera_without_faults_keeps_the_scene(rng):
    scene = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    seen = camera(scene, rng, blur=0, noise=0, jpeg=0)
    assert seen.shape == (32, 32, 3)
    np.testing.assert_allclose(seen[..., 1] / 255, scene, atol=1 / 255)
