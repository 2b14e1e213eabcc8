"""Panoptic quality, F1 and SEG against cellseg_metrics and by hand."""

from __future__ import annotations

import math

import cellseg_metrics as oracle
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_sam.evaluation.metrics.label_matching import label_scores, match_labels


def blobs(seed, smooth):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((60, 60)), smooth)
    return ndimage.label(noise > np.median(noise))[0]


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_panoptic_quality_equals_that_of_cellseg_metrics(a, b):
    true, predicted = blobs(a, 2.0), blobs(a, 2.0 + (b % 5) / 10)
    ours = label_scores(true, predicted)
    theirs = oracle.panoptic_quality(true, predicted)
    assert ours.pq == pytest.approx(theirs["pq"], abs=1e-6)
    assert ours.sq == pytest.approx(theirs["sq"], abs=1e-6)
    assert ours.rq == pytest.approx(theirs["dq"], abs=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_precision_equals_that_of_cellseg_metrics(seed):
    true, predicted = blobs(seed, 2.0), blobs(seed, 2.3)
    assume(not (match_labels(true, predicted).iou == 0.5).any())  # counted here, but not by cellseg_metrics
    assert label_scores(true, predicted).precision == pytest.approx(
        oracle.average_precision(true, predicted, 0.5), abs=1e-6
    )


def test_seg_by_hand():
    true, predicted = np.zeros((10, 30), int), np.zeros((10, 30), int)
    true[:, :10], true[:, 10:20], true[:, 20:] = 1, 2, 3
    predicted[:, :10] = 7  # IoU 1
    predicted[:, 10:16] = 8  # covers 60 %: IoU 0.6
    predicted[:, 20:25] = 9  # covers exactly half: does not count
    assert label_scores(true, predicted).seg == pytest.approx(1.6 / 3)


def test_undefined_scores_are_nan():
    nothing, something = np.zeros((4, 4), int), np.ones((4, 4), int)
    both = label_scores(nothing, nothing)
    assert (both.msa, both.ap50) == (1, 1)
    assert all(math.isnan(v) for v in (both.f1, both.pq, both.seg, both.precision, both.recall))
    missed = label_scores(something, nothing)
    assert (missed.pq, missed.seg, missed.recall) == (0, 0, 0)
    assert math.isnan(missed.precision)
