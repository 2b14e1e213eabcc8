"""A labels layer of the user takes accepted objects."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Labels

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.plane_mask import PackedMask, PlaneMask
from napari_sam.engine.propagation.propagation import Propagation, StackPosition
from napari_sam.errors import LabelsError
from napari_sam.layers.labels_layer import LabelsLayerWriter
from tests.layers.conftest import prediction


@pytest.fixture
def writer(viewer):
    created = LabelsLayerWriter.create(viewer.add_image(np.zeros((40, 50)), name="cells"))
    viewer.add_layer(created.layer)
    return created


def test_undo_leaves_what_was_painted_since(writer):
    writer.commit(prediction(np.ones((10, 10), bool)), ())
    writer.layer.data[2:4, 2:4] = 77
    writer.undo()
    assert (writer.layer.data == 77).sum() == 4
    assert (writer.layer.data > 0).sum() == 4


def test_a_full_dtype_is_refused_with_the_remedy(viewer):
    image = viewer.add_image(np.zeros((40, 50)))
    data = np.zeros((40, 50), np.uint8)
    data[0, 0] = 255
    existing = LabelsLayerWriter(Labels(data), image)
    with pytest.raises(LabelsError, match=r"256 .*uint8.*uint32"):
        existing.commit(prediction(np.ones((5, 5), bool), (9, 9)), ())


def test_labels_that_do_not_fit_are_refused(viewer):
    image = viewer.add_image(np.zeros((40, 50)))
    with pytest.raises(LabelsError, match=r"\(40, 51\)"):
        LabelsLayerWriter(Labels(np.zeros((40, 51), np.uint8)), image)
    with pytest.raises(LabelsError, match="multiscale"):
        LabelsLayerWriter(Labels([np.zeros((40, 50), np.uint8), np.zeros((20, 25), np.uint8)], multiscale=True), image)


def test_planes_of_a_stack_are_written_apart(viewer):
    stack = LabelsLayerWriter.create(viewer.add_image(np.zeros((3, 40, 50))))
    stack.commit(prediction(np.ones((5, 5), bool)), (2,))
    assert stack.layer.data[2].sum() == 25
    assert not stack.layer.data[:2].any()


def test_records_are_enough_to_predict_again(writer):
    writer.commit(prediction(np.ones((5, 5), bool)), ())
    (record,) = writer.layer.metadata["napari_sam"]
    assert record["points"] == [[1.0, 2.0]]
    assert record["point_labels"] == [1]
    assert record["model"] == "test"


def test_a_painted_label_is_not_given_again(writer):
    writer.commit(prediction(np.ones((5, 5), bool)), ())
    writer.layer.selected_label = 2
    writer.layer.paint((30, 30), 2)
    assert writer.commit(prediction(np.ones((5, 5), bool), (10, 10)), ()) == 3


def test_a_new_writer_keeps_the_earlier_objects_table(viewer, writer):
    writer.commit(prediction(np.ones((5, 5), bool)), ())
    second = LabelsLayerWriter(writer.layer, viewer.layers["cells"])
    second.commit(prediction(np.ones((5, 5), bool), (10, 10)), ())
    assert writer.layer.features["index"].tolist() == [1, 2]


def test_objects_get_the_next_id_and_overlap_as_chosen(writer):
    square = np.ones((10, 10), bool)
    assert writer.commit(prediction(square, (0, 0)), ()) == 1
    assert writer.commit(prediction(square, (5, 5)), (), "keep") == 2
    assert writer.commit(prediction(square, (8, 8)), (), "replace") == 3
    data = writer.layer.data
    assert (data[9, 9], data[6, 6], data[12, 12], data[17, 17]) == (3, 1, 3, 3)
    assert writer.layer.features["index"].tolist() == [1, 2, 3]


def test_undo_and_redo_restore_every_pixel(writer):
    square = np.ones((10, 10), bool)
    states = [writer.layer.data.copy()]
    for origin in ((0, 0), (5, 5), (3, 3)):
        writer.commit(prediction(square, origin), (), "replace")
        states.append(writer.layer.data.copy())
    for state in states[-2::-1]:
        assert writer.undo()
        np.testing.assert_array_equal(writer.layer.data, state)
    assert not writer.undo()
    assert writer.next_label == 1
    for state in states[1:]:
        assert writer.redo()
        np.testing.assert_array_equal(writer.layer.data, state)
    assert not writer.redo()
    assert writer.next_label == 4


def test_a_layer_that_a_closed_store_left_can_be_written_to(viewer):
    image = viewer.add_image(np.zeros((40, 50)))
    left = Labels(np.zeros((40, 50), np.uint32), metadata={"napari_sam": {"store": "cells.ome.zarr"}})
    assert LabelsLayerWriter(left, image).commit(prediction(np.ones((5, 5), bool)), ()) == 1


def test_a_layer_that_is_not_in_memory_is_refused(viewer):
    import dask.array

    image = viewer.add_image(np.zeros((40, 50)))
    with pytest.raises(LabelsError, match="instead of an array in memory"):
        LabelsLayerWriter(Labels(dask.array.zeros((40, 50), dtype=np.uint8)), image)


def test_an_image_too_large_for_memory_is_refused_with_the_remedy():
    image = SimpleNamespace(data=SimpleNamespace(shape=(100_000, 100_000)), multiscale=False, rgb=False)
    with pytest.raises(LabelsError, match="label store"):
        LabelsLayerWriter.create(image)


def test_an_unknown_overlap_rule_is_named(writer):
    with pytest.raises(LabelsError, match="choose one of keep, replace") as caught:
        writer.commit(prediction(np.ones((5, 5), bool)), (), "merge")
    assert caught.value.parameter == "overlap"


def test_an_object_on_several_planes_is_written_and_taken_back_as_one(viewer):
    image = viewer.add_image(np.zeros((4, 20, 20)))
    layer = viewer.add_labels(np.zeros((4, 20, 20), np.uint32))
    writer = LabelsLayerWriter(layer, image)
    followed = propagation({plane: (plane, plane, plane + 3, plane + 3) for plane in (1, 2)})
    assert writer.commit_planes(followed) == 1
    assert (layer.data == 1).sum((1, 2)).tolist() == [0, 9, 9, 0]
    assert layer.features.predicted_iou.tolist() == [0.5]  # that of the weakest plane
    writer.undo()
    assert not layer.data.any()


def test_a_labels_layer_holds_no_lineages_and_no_objects_of_a_store(viewer):
    image = viewer.add_image(np.zeros((4, 20, 20)))
    writer = LabelsLayerWriter(viewer.add_labels(np.zeros((4, 20, 20), np.uint32)), image)
    followed = propagation({1: (0, 0, 3, 3)})
    with pytest.raises(LabelsError, match="holds lineages"):
        writer.commit_planes(followed, parent=3)
    with pytest.raises(LabelsError, match="belongs to a label store"):
        writer.commit_planes(followed, label=3)
    with pytest.raises(LabelsError, match="overlap is 'no'"):
        writer.commit_planes(followed, "no")


def propagation(boxes):
    """A full square on some planes."""
    records = {}
    for plane, (y0, x0, y1, x1) in boxes.items():
        square = np.ones((y1 - y0, x1 - x0), bool)
        records[plane] = PackedMask.of(PlaneMask(plane, square, Box(y0, x0, y1, x1), 0.4 + plane / 10))
    return Propagation(StackPosition("z", 4, (20, 20), (1,), 0), {}, records)
