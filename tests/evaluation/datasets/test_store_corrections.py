"""What people changed about automatic masks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam import LabelStore
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.store_corrections import read_corrections


def fill(store, labels):
    run = store.run_writer("run")
    begin = run.begin({}, int(labels.max()))
    details = {int(v): {"predicted_iou": 0.5} for v in np.unique(labels) if v}
    run.write(labels, (0, 0), tile="tile", begin=begin, details=details)


def test_reviewed_changed_and_removed_masks_are_told_apart(tmp_path):

    labels = np.zeros((40, 80), np.int32)
    for i in range(4):
        labels[5:15, 20 * i : 20 * i + 10] = i + 1
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=labels.shape) as store:
        fill(store, labels)
        store.review(1, "accepted")
        store.review(2, "rejected")
        store.paint(np.full((10, 5), 3), (15, 40))  # an extension below: 100 px become 150
    corrections = {label: (iou, outcome) for label, iou, outcome, *_ in read_corrections(tmp_path / "cells.ome.zarr")}
    assert corrections == {1: (1.0, "kept"), 2: (0.0, "removed"), 3: (pytest.approx(100 / 150), "changed")}


def test_renamed_objects_are_followed_and_brushes_count_as_people(tmp_path):

    labels = np.zeros((40, 80), np.int32)
    labels[5:15, 0:10], labels[5:15, 20:30], labels[5:15, 40:50] = 1, 2, 3
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=labels.shape) as store:
        fill(store, labels)
        store.relabel(1, 70)
        store.review(70, "accepted")
        store.set_category(2, "nucleus")  # its mask was not reviewed
        store.relabel(3, 80)
        store.paint(np.full((10, 5), 80), (15, 40), kind="brush")
    corrections = {label: (iou, outcome) for label, iou, outcome, *_ in read_corrections(tmp_path / "cells.ome.zarr")}
    assert corrections == {1: (1.0, "kept"), 3: (pytest.approx(100 / 150), "changed")}


def test_all_planes_of_an_object_and_all_tiles_of_its_run_are_compared(tmp_path):
    square = np.full((10, 10), 1)
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(3, 40, 80)) as store:
        run = store.run_writer("run")
        begin = run.begin({}, 2)
        for z in range(3):
            run.write(square, (5, 5), tile=str(z), begin=begin, details={}, plane=(z,))
        run.write(square + 1, (25, 5), tile="3", begin=begin, details={}, plane=(0,))
        store.erase(1, (2,))
        store.paint(np.full((10, 5), 1), (5, 15), plane=(0,))
        store.review(2, "accepted")
    corrections = {label: (iou, outcome) for label, iou, outcome, *_ in read_corrections(tmp_path / "cells.ome.zarr")}
    assert corrections == {1: (pytest.approx(200 / 350), "changed"), 2: (1.0, "kept")}


def test_a_store_without_automatic_masks_is_refused(tmp_path):

    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(9, 9)) as store:
        store.paint(np.ones((2, 2), int), (1, 1))
    with pytest.raises(EvaluationError, match="nothing to compare"):
        list(read_corrections(tmp_path / "cells.ome.zarr"))
