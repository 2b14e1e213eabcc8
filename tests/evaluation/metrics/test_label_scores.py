"""Panoptic quality, F1 and SEG against an independent package and by hand."""

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


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_panoptic_quality_is_that_of_another_package(a, b):
    true, found = blobs(a, 2.0), blobs(a, 2.0 + (b % 5) / 10)
    ours = label_scores(true, found)
    theirs = oracle.panoptic_quality(true, found)
    assert ours.pq == pytest.approx(theirs["pq"], abs=1e-6)
    assert ours.sq == pytest.approx(theirs["sq"], abs=1e-6)
    assert ours.rq == pytest.approx(theirs["dq"], abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_precision_is_that_of_another_package(seed):
    true, found = blobs(seed, 2.0), blobs(seed, 2.3)
    assume(not (match_labels(true, found).iou == 0.5).any())  # there it is strict, and we count it
    assert label_scores(true, found).precision == pytest.approx(oracle.average_precision(true, found, 0.5), abs=1e-6)


def test_seg_by_hand():
    true, found = np.zeros((10, 30), int), np.zeros((10, 30), int)
    true[:, :10], true[:, 10:20], true[:, 20:] = 1, 2, 3
    found[:, :10] = 7  # IoU 1
    found[:, 10:16] = 8  # covers 60 %: IoU 0.6
    found[:, 20:25] = 9  # covers exactly half: does not count
    assert label_scores(true, found).seg == pytest.approx(1.6 / 3)


def test_what_is_not_defined_is_nan():
    nothing, something = np.zeros((4, 4), int), np.ones((4, 4), int)
    both = label_scores(nothing, nothing)
    assert (both.msa, both.ap50) == (1, 1)
    assert all(math.isnan(v) for v in (both.f1, both.pq, both.seg, both.precision, both.recall))
    missed = label_scores(something, nothing)
    assert (missed.pq, missed.seg, missed.recall) == (0, 0, 0)
    assert math.isnan(missed.precision)
