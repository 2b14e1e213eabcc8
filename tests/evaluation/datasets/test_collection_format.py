"""Collections: DATASET/SPLIT folders with an index."""

from __future__ import annotations

import tifffile

from napari_sam.evaluation.datasets.dataset_formats import find_samples
from tests.evaluation.datasets.dataset_files import BOXES, LABELS, RGB, boxes


def test_a_collection_has_datasets_splits_and_groups(collection):
    samples = find_samples(collection)
    assert [(s.dataset, s.name) for s in samples] == [("cells", "a"), ("cells", "b"), ("fields", "a"), ("fields", "b")]
    assert samples[1].groups == {"dataset": "cells", "modality": "phase"}
    assert boxes(samples[0]) == BOXES
    assert [s.name for s in find_samples(collection, only=["fields"])] == ["a", "b"]
    assert find_samples(collection / "cells" / "dev")[0].groups["modality"] == "EM"


def test_brackets_in_names_are_no_pattern(tmp_path):
    tifffile.imwrite(tmp_path / "cell[1].image.tif", RGB)
    tifffile.imwrite(tmp_path / "cell[1].labels.tif", LABELS)
    assert [s.name for s in find_samples(tmp_path)] == ["cell[1]"]
