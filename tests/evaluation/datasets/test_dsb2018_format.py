"""Data Science Bowl 2018."""

from __future__ import annotations

import os

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from tests.evaluation.datasets.dataset_files import BOXES, LABELS, boxes, identity_of, save_rgb


def test_each_object_has_a_mask_file(tmp_path):
    save_rgb(tmp_path / "id1" / "images" / "id1.png")
    for label in (4, 9):
        save_rgb(tmp_path / "id1" / "masks" / f"m{label}.png", (LABELS == label).astype(np.uint8) * 255)
    (sample,) = find_samples(tmp_path)
    assert (sample.name, boxes(sample)) == ("id1", BOXES)
    save_rgb(tmp_path / "id1" / "masks" / "z.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(EvaluationError, match=r"\(5, 5\) beside others of \(20, 30\)"):
        find_samples(tmp_path)[0].truth()


def test_a_changed_mask_changes_the_identity(tmp_path):

    save_rgb(tmp_path / "id1" / "images" / "id1.png")
    mask = tmp_path / "id1" / "masks" / "m.png"
    save_rgb(mask, (LABELS == 4).astype(np.uint8) * 255)
    before = identity_of(tmp_path)
    known = mask.stat()
    os.utime(mask, ns=(known.st_atime_ns, known.st_mtime_ns + 1))
    assert identity_of(tmp_path) != before


def test_the_alpha_channel_of_masks_is_ignored(tmp_path):
    save_rgb(tmp_path / "id1" / "images" / "id1.png")
    grey = (LABELS == 4).astype(np.uint8) * 255
    save_rgb(tmp_path / "id1" / "masks" / "m.png", np.dstack([grey, np.full_like(grey, 255)]))
    assert boxes(find_samples(tmp_path)[0]) == BOXES[:1]
