"""Average precision with intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_sam.evaluation.metrics.coco_metrics import encode_mask
from napari_sam.evaluation.metrics.resampled_precision import ResampledPrecision, mean_precision, resampled_precisions

SHAPE = (60, 60)


def image(score=0.5, category="a", is_detected=True, **details):
    mask = np.ones((40, 40), bool)
    runs = encode_mask(mask, (0, 0), SHAPE)
    objects = [{"runs": runs, "area": 1600, "category": category, "crowd": False, **details}]
    return {
        "shape": SHAPE,
        "objects": objects,
        "found": [{"runs": runs, "category": category, "score": score}] * is_detected,
    }


def test_images_are_resampled():
    precision = resampled_precisions([image(), image(is_detected=False)], 0)["AP"]
    assert len(precision.draws) == 100
    assert precision.interval().low <= precision.value <= precision.interval().high


def test_one_image_has_no_interval():
    precision = resampled_precisions([image()], 0)["AP"]
    assert precision.value == pytest.approx(1)
    assert precision.draws is None
    assert math.isnan(precision.interval().low)


def test_the_same_seed_gives_the_same_draws():
    images = [image(), image(is_detected=False), image()]
    first, second = (resampled_precisions(images, 3)["AP"].draws for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_frequencies_of_lvis_have_their_own_precision():
    precisions = resampled_precisions([image(frequency="r"), image(category="b", is_detected=False, frequency="f")], 0)
    assert precisions["AP rare"].value == pytest.approx(1)
    assert precisions["AP frequent"].value == 0
    assert "AP common" not in precisions


def test_the_mean_over_data_sets_keeps_one_that_is_not_resampled_fixed():
    varied = ResampledPrecision(0.4, np.linspace(0.3, 0.5, 100), 5, 3, "")
    mean = mean_precision([varied, ResampledPrecision(0.8, None, 1, 1, "")])
    assert (mean.value, mean.n, mean.images) == (pytest.approx(0.6), 6, 4)
    assert mean.note == "mean of 2 data sets, 1 of them counted as fixed"
    assert mean.draws.min() == pytest.approx(0.55)


def test_undefined_draws_are_replaced_by_the_value():
    undefined = ResampledPrecision(0.5, np.full(100, np.nan), 1, 2, "")
    defined = ResampledPrecision(0.5, np.full(100, 0.7), 1, 2, "")
    assert mean_precision([undefined, defined]).draws == pytest.approx(np.full(100, 0.6))
