"""The object under the mouse, saved or of another program."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.find.objects_under import layer_object, object_around, stored_object


@pytest.mark.parametrize("size", [20, 1500])
def test_an_object_is_read_in_a_window_that_grows(size):
    labels = np.zeros((1600, 1600), np.uint16)
    labels[40 : 40 + size, 30:50] = 3
    labels[0:2, 0:2] = 4
    mask, box = object_around(labels, 45, 35)
    assert box == (40, 30, 40 + size, 50)
    assert mask.all()
    assert object_around(labels, 20, 20) is None
    assert object_around(labels, -1, 5000) is None
    assert object_around(labels, 0, 0)[1] == (0, 0, 2, 2)


def test_the_topmost_visible_labels_layer_gives_the_object():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 50), np.uint8))
    low, high = np.zeros((2, 40, 50), np.uint8)
    low[5:15, 5:15], high[8:10, 8:10] = 1, 1
    viewer.add_labels(low)
    upper = viewer.add_labels(high)
    assert layer_object(viewer.layers, [], image, (), 9, 9)[1] == (8, 8, 10, 10)
    upper.visible = False
    assert layer_object(viewer.layers, [], image, (), 9, 9)[1] == (5, 5, 15, 15)
    assert layer_object(viewer.layers, [], image, (), 30, 30) is None


def test_a_saved_object_is_read_from_the_store(tmp_path):
    with LabelStore.create(tmp_path / "labels.ome.zarr", shape=(40, 50)) as store:
        store.paint(np.full((4, 5), 9, np.uint32), (10, 20))

        def read(box, plane):
            return store.read(box, plane=plane)

        layers = SimpleNamespace(store=store, plane_shape=(40, 50), labels_in=read)
        mask, box = stored_object(layers, (), 12, 22)
        assert box == (10, 20, 14, 25)
        assert mask.all()
        assert stored_object(layers, (), 0, 0) is None
        assert stored_object(layers, (), 99, 0) is None
        assert stored_object(None, (), 12, 22) is None
