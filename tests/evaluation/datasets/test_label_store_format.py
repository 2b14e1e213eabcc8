"""Label stores as ground truth."""

from __future__ import annotations

import json

import numpy as np
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


def test_each_plane_of_an_object_is_an_object_of_that_planes_sample(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(12, 20, 30)) as store:
        store.commit_planes({z: (np.ones((z, 3), bool), (1, 2, 1 + z, 5)) for z in (2, 10)}, category="cell")
    samples = find_samples(tmp_path / "cells.ome.zarr")
    assert [sample.name for sample in samples] == ["plane/2", "plane/10"]
    objects = [sample.truth().objects for sample in samples]
    assert [(o.label, o.mask.sum(), o.category) for (o,) in objects] == [(1, 6, "cell"), (1, 30, "cell")]


def test_an_edit_changes_the_identity_before_the_file_is_rewritten(tmp_path):

    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(20, 30)) as store:
        store.paint(LABELS, (0, 0))
        before = identity_of(tmp_path / "cells.ome.zarr")
        store.erase(9)
        assert identity_of(tmp_path / "cells.ome.zarr") != before
        store.undo()
        assert identity_of(tmp_path / "cells.ome.zarr") != before


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9/x.png", "s3://bucket/x.zarr", "//host/share/x.png"])
def test_an_address_that_only_the_journal_names_is_not_fetched(tmp_path, uri):
    with LabelStore.create(tmp_path / "s", shape=(40, 40)) as labels:
        labels.paint(np.ones((5, 5), int), (0, 0))
        text = json.dumps({"identity": "x", "uri": uri})
        labels.journal._database.connection.execute("UPDATE meta SET value = ? WHERE key = 'image'", (text,))
    (sample,) = find_samples(tmp_path / "s")
    with pytest.raises(EvaluationError, match="you did not"):
        sample.read_image()
