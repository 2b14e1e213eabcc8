"""Strokes go from the edit layer to the store, and changes of the store to the layer."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.edit_layer import EDIT_PX, EditLayer, grown, spare_layer
from napari_sam.layers.objects.lookup_colormap import LookupColormap


@pytest.fixture
def editing(viewer, store):
    return EditLayer(store, viewer.add_image(np.zeros((40, 50))), name="edit")


@pytest.fixture
def large(viewer, tmp_path):
    """An edit layer over a part of a store that is too large to be shown whole."""
    store = LabelStore.create(tmp_path / "large.ome.zarr", shape=(6000, 6000))
    image = viewer.add_image(np.zeros((6000, 6000), np.uint8), scale=(2, 2))
    yield EditLayer(store, image, name="edit", scale=(2, 2))
    store.close()


def test_a_stroke_is_written_where_it_was_drawn(editing, store):
    editing.layer.data[3:6, 7:9] = 4
    assert editing.has_strokes
    editing.write_strokes()
    assert not editing.has_strokes
    assert np.argwhere(store.array[...]).min(0).tolist() == [3, 7]
    assert (store.array[...] == 4).sum() == 6


def test_an_update_keeps_strokes_that_are_not_written_yet(editing, store):
    editing.layer.data[0, 0] = 9
    store.paint(np.full((2, 2), 5), (0, 0))
    editing.update((), Box(0, 0, 2, 2))
    assert editing.layer.data[:2, :2].tolist() == [[9, 5], [5, 5]]


def test_labels_that_the_store_refuses_leave_the_layer_as_the_store(editing, store, monkeypatch):
    def refuse(*_, **__):
        raise LabelsError("refused")

    monkeypatch.setattr(store, "paint", refuse)
    editing.layer.data[0, 0] = 9
    with pytest.raises(LabelsError, match="refused"):
        editing.write_strokes()
    assert not editing.layer.data.any()


def test_other_data_in_the_layer_are_an_error_with_a_remedy(editing):
    editing.layer.data = np.zeros((9, 9), np.uint32)
    with pytest.raises(LabelsError, match="remove the layer"):
        editing.has_strokes  # noqa: B018


def test_a_region_of_a_large_store_lies_on_the_image(large):
    large.show_region(Box(1000, 2000, 1400, 2500), ())
    assert large.region.contains((1000, 2000, 1400, 2500))
    np.testing.assert_allclose(large.layer.data_to_world((0, 0)), np.array(large.region[:2]) * 2)
    assert large.layer.data.shape == large.region.shape


def test_changes_outside_the_region_are_not_copied(large):
    large.show_region(Box(0, 0, 100, 100), ())
    before = large.layer.data.copy()
    large.update((), Box(5000, 5000, 5010, 5010))
    np.testing.assert_array_equal(large.layer.data, before)


@pytest.mark.parametrize("view", [(0, 0, 10, 10), (0, 0, EDIT_PX, EDIT_PX), (5, 5, 3000, 4000)])
def test_a_grown_region_holds_the_view_and_stays_small(view):
    region = grown(Box(*view), (100_000, 100_000))
    assert region.contains(view)
    assert max(region.shape) <= EDIT_PX


def test_a_spare_layer_is_like_a_new_one(viewer, store, tmp_path):
    image = viewer.add_image(np.zeros((40, 50)), scale=(2, 2))
    spare = EditLayer(store, image, name="first", opacity=0.6).layer
    spare.colormap = LookupColormap.of([1], [0], np.ones((1, 4)), (0.5, 0.5, 0.5, 1))
    spare.opacity, spare.visible, spare.show_selected_label = 0.1, False, True
    spare.brush_size, spare.contour = 3, 2  # as the user set them, for all images
    spare.features = {"index": [0, 1], "category": ["", "cell"]}
    with LabelStore.create(tmp_path / "second.ome.zarr", shape=(20, 30)) as second:
        second.paint(np.full((2, 2), 5), (0, 0))
        editing = EditLayer(second, image, spare, name="second", opacity=0.6, scale=(2, 2))
        assert editing.layer is spare
        assert (spare.name, spare.opacity, spare.visible, spare.show_selected_label) == ("second", 0.6, True, False)
        assert (spare.brush_size, spare.contour) == (3, 2)
        assert not isinstance(spare.colormap, LookupColormap)
        assert not len(spare.features)
        assert spare.scale.tolist() == [2, 2]
        assert (spare.data == 5).sum() == 4
        assert not editing.has_strokes


@pytest.mark.parametrize(("shape", "is_reused"), [((30, 20), True), ((3, 30, 20), False), ((6000, 6000), False)])
def test_a_layer_is_reused_where_it_can_show_the_other_image_whole(viewer, store, shape, is_reused):
    layer = EditLayer(store, viewer.add_image(np.zeros((40, 50))), name="edit").layer
    other = viewer.add_image(np.zeros(shape, np.uint8))
    assert (spare_layer([layer], other) is layer) is is_reused
    assert spare_layer([layer, layer], other) is None
