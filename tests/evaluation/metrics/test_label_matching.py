"""Matching of objects against a plain statement of the definition, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam.errors import ImageError
from napari_sam.evaluation.metrics.label_matching import THRESHOLDS, match_labels


def _plain(true, predicted, threshold):
    """TP / (TP + FP + FN) by comparing every object with every other (for thresholds above one half)."""
    a = [true == v for v in np.unique(true) if v]
    b = [predicted == v for v in np.unique(predicted) if v]
    tp = sum(any((x & y).sum() / (x | y).sum() >= threshold for y in b) for x in a)
    return tp / (len(a) + len(b) - tp) if a or b else 1.0


labels = hnp.arrays(np.uint16, (6, 7), elements=st.integers(0, 4))


@settings(max_examples=60)
@given(labels, labels)
def test_accuracy_is_its_definition(true, predicted):
    m = match_labels(true, predicted)
    for threshold in THRESHOLDS[1:]:
        assert m.accuracy(threshold) == pytest.approx(_plain(true, predicted, threshold))


def test_mean_accuracy_by_hand():
    true, predicted = np.zeros((10, 40), int), np.zeros((10, 40), int)
    true[:, :10], true[:, 20:30] = 3, 8
    predicted[:, :10], predicted[:, 20:28], predicted[0, 35] = 1, 2, 5  # IoU 1 and 0.8, and one too many
    # Up to 0.80 both are found: 2 / 3 at seven thresholds; above, one: 1 / (1 + 2 + 1) at three.
    assert match_labels(true, predicted).mean_accuracy() == pytest.approx((7 * 2 / 3 + 3 * 1 / 4) / 10)


def test_at_one_half_a_true_object_counts_once():
    true = np.array([[1, 1]])
    predicted = np.array([[1, 2]])  # two halves, each with IoU 0.5
    assert match_labels(true, predicted).true_positives(0.5) == 1


def test_empty_images():
    nothing, something = np.zeros((4, 4), int), np.ones((4, 4), int)
    assert match_labels(nothing, nothing).mean_accuracy() == 1
    assert match_labels(nothing, something).mean_accuracy() == 0
    assert match_labels(something, nothing).mean_accuracy() == 0
    assert match_labels(something, something).mean_accuracy() == 1


def test_shapes_must_agree():
    with pytest.raises(ImageError, match=r"\(4, 4\) and \(4, 5\)"):
        match_labels(np.zeros((4, 4), int), np.zeros((4, 5), int))
