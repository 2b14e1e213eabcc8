"""Runs of label images and masks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.run_length import decode_labels, decode_mask, encode_labels, encode_mask


def test_damaged_runs_are_named():
    blob = encode_labels(np.arange(12).reshape(3, 4))
    for bad in (blob[:5], blob[:-3], b"\1" + blob[1:]):
        with pytest.raises(StoreError, match="damaged"):
            decode_labels(bad)


@pytest.mark.parametrize("seed", range(5))
def test_runs_give_back_what_they_were_made_of(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rng.integers(1, 40, 2)) * (2**32 - 1) // 2
    np.testing.assert_array_equal(decode_labels(encode_labels(labels)), labels)
    np.testing.assert_array_equal(decode_mask(encode_mask(labels > 0)), labels > 0)
