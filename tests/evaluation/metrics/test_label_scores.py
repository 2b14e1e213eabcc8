"""Panoptic quality, F1 and SEG against an independent package and by hand."""

from __future__ import annotations

import math

import cellseg_metrics as oracle
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject, truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.evaluation.experiments.whole_images import (
    ExternalLabelExperiment,
    parse_named_folders,
    remove_crowd_objects,
)
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


@pytest.fixture
def sample():
    labels = np.zeros((20, 20), np.int32)
    labels[2:10, 2:10] = 1
    return Sample("toy", "a", None, lambda: truth_from_labels(labels))


@pytest.mark.parametrize("place", ["a.tif", "a_masks.tif", "toy/a.tif", "toy/a_cp_masks.tif"])
def test_other_programs_labels_are_found_by_name(tmp_path, sample, place):
    import tifffile

    (tmp_path / "toy").mkdir()
    tifffile.imwrite(tmp_path / place, sample.truth().labels().astype(np.uint16))
    found = ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)
    assert found["scores"]["pq"] == 1
    assert (found["true"], found["found"]) == (1, 1)


def test_missing_labels_and_other_shapes_are_named(tmp_path, sample):
    import tifffile

    with pytest.raises(EvaluationError, match="no labels of toy/a"):
        ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 5), np.uint16))
    with pytest.raises(EvaluationError, match=r"\(5, 5\)"):
        ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)


def test_the_bare_name_is_taken_last_since_it_may_be_the_image(tmp_path, sample):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 20), 7, np.uint16))
    tifffile.imwrite(tmp_path / "a_cp_masks.tif", sample.truth().labels().astype(np.uint16))
    assert ExternalLabelExperiment("cellpose", tmp_path).measure(sample, None, 0)["scores"]["pq"] == 1


def test_masks_in_crowds_count_neither_for_nor_against():
    objects = (
        TrueObject(1, np.ones((8, 8), bool), (0, 0)),
        TrueObject(2, np.ones((20, 10), bool), (0, 10), crowd=True),
    )
    found = np.zeros((20, 20), np.int32)
    found[:8, :8], found[2:6, 12:16], found[10:14, 7:11] = 5, 6, 7  # the last has a quarter of itself in the crowd
    left = remove_crowd_objects(found, GroundTruth((20, 20), objects))
    assert set(np.unique(left)) == {0, 5, 7}


@pytest.mark.parametrize("given_as", ["cellpose", "=x", "cellpose="])
def test_programs_are_given_with_their_folder(given_as):
    with pytest.raises(EvaluationError, match="give NAME=FOLDER"):
        parse_named_folders([given_as])
