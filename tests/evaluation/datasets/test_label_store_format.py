"""Label stores as ground truth."""

from __future__ import annotations

import pytest

from napari_sam import LabelStore
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from tests.evaluation.datasets.dataset_files import BOXES, LABELS, boxes, identity_of


def test_a_label_store_gives_samples(tmp_path):

    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(20, 30)) as store:
        store.paint(LABELS, (0, 0))
    (sample,) = find_samples(tmp_path / "cells.ome.zarr")
    assert boxes(sample) == BOXES
    with pytest.raises(EvaluationError, match="no image"):
        sample.source()


def test_an_edit_changes_the_identity_before_the_file_is_rewritten(tmp_path):

    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(20, 30)) as store:
        store.paint(LABELS, (0, 0))
        before = identity_of(tmp_path / "cells.ome.zarr")
        store.erase(9)
        assert identity_of(tmp_path / "cells.ome.zarr") != before
        store.undo()
        assert identity_of(tmp_path / "cells.ome.zarr") != before
