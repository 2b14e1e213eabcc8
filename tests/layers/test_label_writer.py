"""The contract that every destination of accepted objects keeps."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.layers.label_store_layers import LabelStoreLayers
from napari_sam.layers.labels_layer import LabelsLayerWriter
from tests.layers.conftest import prediction


@pytest.fixture(params=["store", "layer"])
def writer(request, viewer, tmp_path):
    """A label store, and a labels layer in memory."""
    image = viewer.add_image(np.zeros((40, 50)), name="cells")
    if request.param == "layer":
        yield LabelsLayerWriter.create(image)
    else:
        made = LabelStoreLayers.open(tmp_path / "labels.ome.zarr", image, pytest.fail)
        yield made
        made.close()


def test_objects_get_ids_from_1(writer, square):
    assert [writer.commit(prediction(square, (k, 0)), ()) for k in (0, 12, 24)] == [1, 2, 3]
    assert np.unique(writer.layer.data).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("overlap", "winner"), [("keep", 1), ("replace", 2)])
def test_the_overlap_rule_decides_who_keeps_shared_pixels(writer, square, overlap, winner):
    writer.commit(prediction(square), ())
    writer.commit(prediction(square, (5, 5)), (), overlap)
    assert writer.layer.data[6, 6] == winner


def test_undo_and_redo_restore_every_pixel(writer, square):
    states = [writer.layer.data.copy()]
    for origin in ((0, 0), (5, 5), (3, 3)):
        writer.commit(prediction(square, origin), (), "replace")
        states.append(writer.layer.data.copy())
    for state in states[-2::-1]:
        assert writer.can_undo
        assert writer.undo()
        np.testing.assert_array_equal(writer.layer.data, state)
    for state in states[1:]:
        assert writer.can_redo
        assert writer.redo()
        np.testing.assert_array_equal(writer.layer.data, state)


def test_undo_and_redo_return_false_when_there_is_nothing_left(writer):
    assert not writer.can_undo
    assert not writer.can_redo
    assert not writer.undo()
    assert not writer.redo()


def test_the_chosen_candidate_is_written(writer):
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    writer.commit(prediction(mask), (), candidate=1)
    assert writer.layer.data[3, :4].all()
    assert not writer.layer.data[0].any()


def test_an_object_without_free_pixels_is_refused_and_nothing_changes(writer, square):
    writer.commit(prediction(square), ())
    with pytest.raises(LabelsError, match="wholly under"):
        writer.commit(prediction(square[:5, :5]), ())
    with pytest.raises(LabelsError, match="empty"):
        writer.commit(prediction(np.zeros((5, 5), bool)), ())
    assert (np.asarray(writer.layer.data) == 1).sum() == 100


def test_the_layer_to_draw_on_is_among_the_layers(writer):
    assert writer.layer in writer.layers
