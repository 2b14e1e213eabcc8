"""Agreement of automatic and corrected masks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.agreement import agreement, matched_ious


def test_pairs_are_matched_one_to_one():
    automatic, corrected = np.zeros((10, 40), int), np.zeros((10, 40), int)
    automatic[:, :10], automatic[:, 20:30], automatic[:, 35:] = 1, 2, 3
    corrected[:, :10], corrected[:, 20:28] = 5, 6
    assert matched_ious(automatic, corrected) == [1.0, 0.8, 0.0]


def test_the_audit_counts_shares_above_each_level():
    audit = agreement([("a", 1.0), ("a", 0.92), ("b", 0.8), ("b", 0.0)])
    assert (audit.above[0.9].value, audit.above[0.75].value) == (0.5, 0.75)
    assert (audit.kept, audit.changed, audit.removed) == (1, 2, 1)
    with pytest.raises(EvaluationError, match="review some"):
        agreement([])
