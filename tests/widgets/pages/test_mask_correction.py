"""The correction of an object starts from its mask."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.review_queue import ReviewItem
from napari_sam.widgets.pages.mask_correction import MaskCorrection


@pytest.fixture
def store(tmp_path):
    with LabelStore.create(tmp_path / "labels.ome.zarr", shape=(40, 50)) as made:
        made.paint(np.full((6, 8), 1), (10, 20))
        yield made


@pytest.fixture
def correction(store):
    return MaskCorrection.of(store, ReviewItem(1, (), (10, 20, 16, 28), 48, None))


def test_the_mask_goes_with_drawn_points(correction):
    (prompt,) = correction.prompts([{"points": np.array([(1.0, 2.0)])}])
    assert prompt["mask"].mask.sum() == 48
    assert len(prompt["points"]) == 1


def test_a_drawn_box_replaces_the_mask(correction):
    assert correction.prompts([{"box": (0.0, 0.0, 9.0, 9.0)}]) == [{"box": (0.0, 0.0, 9.0, 9.0)}]


def test_nothing_is_predicted_before_something_is_drawn(correction):
    assert correction.prompts([]) == []


def test_starting_over_forgets_the_mask(correction):
    again = correction.started_over()
    assert (again.candidate, again.mask) == (correction.candidate, None)


def test_a_very_large_object_is_corrected_by_its_box(store):
    correction = MaskCorrection.of(store, ReviewItem(1, (), (0, 0, 100_000, 100_000), 48, None))
    assert correction.mask is None
    assert correction.prompt == {"box": (0.0, 0.0, 100_000.0, 100_000.0)}


def test_an_object_that_is_gone_cannot_be_corrected(store):
    with pytest.raises(LabelsError):
        MaskCorrection.of(store, ReviewItem(9, (), (0, 0, 4, 4), 16, None))


def test_an_object_of_several_planes_is_corrected_on_the_plane_that_is_shown(tmp_path):
    with LabelStore.create(tmp_path / "stack.ome.zarr", shape=(3, 40, 50)) as store:
        square = np.ones((6, 8), bool)
        store.commit_planes({0: (square, (10, 20, 16, 28)), 1: (square[:2], (0, 0, 2, 8))})
        first = MaskCorrection.of(store, ReviewItem.of_object(store, 1))
        assert first.on_plane(store, (1,)).mask.mask.shape == (2, 8)
        assert first.on_plane(store, (2,)).mask is None
