"""TissueNet archives."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from tests.evaluation.datasets.dataset_files import BOXES, LABELS, boxes


def test_cells_and_nuclei_are_data_sets_with_tissues_as_groups(tmp_path):
    images = np.random.default_rng(0).random((2, 20, 30, 2)).astype(np.float32)
    labels = np.stack([LABELS, LABELS > 0], -1)[None].repeat(2, 0).astype(np.int32)
    path = tmp_path / "test.npz"
    np.savez(path, X=images, y=labels, tissue_list=np.array(["skin", "gut"]))
    samples = find_samples(path)
    assert [s.dataset for s in samples] == ["test cells"] * 2 + ["test nuclei"] * 2
    assert boxes(samples[0]) == BOXES
    assert len(samples[2].truth().objects) == 1
    assert [s.groups["tissue"] for s in samples[:2]] == ["skin", "gut"]
    assert samples[0].source().shape == (20, 30, 3)


def test_pickled_lists_are_skipped(tmp_path):
    path = tmp_path / "test.npz"
    meta = np.array([{"a": 1}, None], dtype=object)
    np.savez(path, X=np.zeros((1, 4, 4, 2)), y=np.zeros((1, 4, 4, 2), int), tissue_list=meta)
    assert "tissue" not in find_samples(path)[0].groups


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [((1, 4, 4, 2), (2, 4, 4, 2), "of the same images"), ((4, 4, 2), (1, 4, 4, 2), r"give both as \(N, H, W, C\)")],
)
def test_arrays_that_do_not_belong_together_are_refused(tmp_path, images, labels, message):
    np.savez(tmp_path / "test.npz", X=np.zeros(images), y=np.zeros(labels, int))
    with pytest.raises(EvaluationError, match=message):
        find_samples(tmp_path / "test.npz")
