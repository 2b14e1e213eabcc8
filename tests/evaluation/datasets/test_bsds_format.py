"""BSDS500 as Berkeley distributes it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.bsds_format import find_bsds_samples
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from tests.evaluation.datasets.dataset_files import save_rgb


def test_the_layout_of_berkeley_is_read(tmp_path):
    base = tmp_path / "BSR" / "BSDS500" / "data"
    save_rgb(base / "images" / "val" / "3096.jpg")
    (base / "groundTruth" / "val").mkdir(parents=True)
    drawn = np.zeros((2, 20, 30), np.uint8)
    drawn[0, 5], drawn[1, 6] = 1, 1
    cells = np.empty((1, 2), object)
    for i in range(2):
        cells[0, i] = {"Boundaries": drawn[i], "Segmentation": np.ones((20, 30), np.uint16)}
    savemat(base / "groundTruth" / "val" / "3096.mat", {"groundTruth": cells})
    (sample,) = find_samples(tmp_path)  # its dev split is val
    assert (sample.kind, sample.name) == ("boundaries", "3096")
    np.testing.assert_array_equal(sample.truth().boundaries, drawn.astype(bool))
    with pytest.raises(EvaluationError, match="split=val"):
        find_samples(tmp_path, split="test")


def test_boundaries_without_an_image_are_noted(tmp_path):
    (tmp_path / "groundTruth" / "val").mkdir(parents=True)
    (tmp_path / "groundTruth" / "val" / "1.mat").touch()
    notes = []
    assert find_bsds_samples(tmp_path, "val", notes) == []
    assert notes == [f"{tmp_path / 'groundTruth' / 'val' / '1.mat'}: boundaries without an image"]


def test_a_damaged_ground_truth_is_named(tmp_path):
    save_rgb(tmp_path / "images" / "val" / "1.jpg")
    (tmp_path / "groundTruth" / "val").mkdir(parents=True)
    (tmp_path / "groundTruth" / "val" / "1.mat").write_bytes(b"no matrix")
    with pytest.raises(EvaluationError, match="not a BSDS500 ground truth"):
        find_samples(tmp_path)[0].truth()
