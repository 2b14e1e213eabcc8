"""One change while it is made."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.changes.edit import Edit, boxes_of
from napari_sam.io.labels.editing.label_values import check_label, checked_labels, clipped_mask


@pytest.fixture
def edit(labels):
    labels.paint(np.full((10, 10), 1), (0, 0))
    return Edit(labels._parts.pyramid, labels.journal, (), "paint", {})


def test_an_edit_reads_what_it_has_painted_and_writes_nothing(edit, labels):
    edit.paint(Box(0, 0, 4, 10), lambda now, _: np.full_like(now, 2))
    assert edit.read(Box(3, 0, 5, 1)).ravel().tolist() == [2, 1]
    assert labels.array[3, 0] == 1


def test_rows_follow_from_pixels_lost_and_gained(edit):
    edit.paint(Box(0, 0, 4, 10), lambda now, _: np.full_like(now, 2))
    change = edit.finish({2: {"category": "cell"}})
    (before, after), (nothing, new) = change.rows[1], change.rows[2]
    assert (before.area_px, after.area_px, after.box) == (100, 60, Box(4, 0, 10, 10))
    assert (nothing, new.area_px, new.category) == (None, 40, "cell")
    assert change.next_after == 3


def test_an_object_without_pixels_has_no_row_left(edit):
    edit.paint(Box(0, 0, 10, 10), lambda now, _: np.zeros_like(now))
    assert edit.finish().rows[1][1] is None


def test_painting_the_same_labels_is_no_change(edit):
    assert edit.paint(Box(0, 0, 10, 10), lambda now, _: now) == 0
    assert edit.finish().patches == []


def test_boxes_of_many_objects_equal_a_search_for_each():
    labels = np.random.default_rng(0).integers(0, 9, (40, 30))
    for label, count, box in boxes_of(labels):
        rows, cols = np.nonzero(labels == label)
        assert count == len(rows)
        assert box == (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)


def test_a_mask_is_clipped_to_the_image():
    mask, box = clipped_mask(np.ones((4, 4), bool), (-2, 3, 2, 7), (10, 5))
    assert (mask.shape, box) == ((2, 2), (0, 3, 2, 5))
    with pytest.raises(LabelsError, match="outside the image"):
        clipped_mask(np.ones((4, 4), bool), (20, 20, 24, 24), (10, 5))


@pytest.mark.parametrize("labels", [np.ones((2, 2)), np.ones(3, int), np.zeros((0, 2), int), [[-1]], [[2**32]]])
def test_arrays_that_hold_no_ids_are_refused(labels):
    with pytest.raises(LabelsError, match=r"^labels") as refused:
        checked_labels(labels)
    assert refused.value.parameter == "labels"


@pytest.mark.parametrize("label", [0, -1, 2**32, 1.5, True])
def test_what_is_no_id_is_refused(label):
    with pytest.raises(LabelsError, match="no id") as refused:
        check_label(label)
    assert refused.value.parameter == "label"
