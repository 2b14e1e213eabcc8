"""The selected objects are outlined where they lie, at the fineness of the screen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.objects.selection_outline import SelectionOutline, selected_pixels

WHOLE = Box(-10, -10, 50, 60)


@pytest.fixture
def objects(store):
    """Objects 1, 2 and 7 of 6 x 8 pixels."""
    for label, origin in ((1, (2, 3)), (2, (2, 20)), (7, (20, 3))):
        store.paint(np.full((6, 8), label), origin)
    return store


def test_only_selected_objects_are_drawn_and_where_they_lie(objects):
    pixels, origin, factor = selected_pixels(objects, np.array([2, 7]), WHOLE, ())
    assert set(np.unique(pixels)) == {0, 2, 7}
    rows, cols = np.nonzero(pixels == 7)
    assert (rows.min() * factor + origin[0], (rows.max() + 1) * factor + origin[0]) == (20, 26)
    assert (cols.min() * factor + origin[1], (cols.max() + 1) * factor + origin[1]) == (3, 11)


def test_a_view_beside_the_image_has_no_pixels(objects):
    assert selected_pixels(objects, np.array([1]), Box(100, 100, 200, 200), ()) is None


def test_large_views_are_read_from_a_coarser_level(tmp_path):
    with LabelStore.create(tmp_path / "l.ome.zarr", shape=(4096, 4096)) as store:
        store.paint(np.full((2000, 2000), 5), (1000, 1000))
        pixels, origin, factor = selected_pixels(store, np.array([5]), Box(0, 0, 4096, 4096), ())
    assert (factor, origin) == (4, (0, 0))
    assert (pixels == 5).sum() == pytest.approx(500**2, rel=0.01)


def test_the_layer_lies_on_the_image_and_is_hidden_without_a_selection(viewer, objects):
    image = viewer.add_image(np.zeros((40, 50)), scale=(0.5, 2), translate=(3, 4))
    outline = SelectionOutline(image)
    viewer.add_layer(outline.layer)
    outline.show(objects, [1], WHOLE, ())
    layer = outline.layer
    assert layer.visible
    assert not layer.editable
    rows, cols = np.nonzero(layer.data)
    size = np.asarray(layer.scale) / np.asarray(image.scale)
    first = np.asarray(image.world_to_data(layer.data_to_world((rows.min(), cols.min()))))
    np.testing.assert_allclose(first - size / 2, (2 - 0.5, 3 - 0.5), atol=0.02)
    outline.show(objects, [], WHOLE, ())
    assert not layer.visible


def test_a_plane_of_a_stack_shows_its_own_objects(viewer, tmp_path):
    image = viewer.add_image(np.zeros((3, 40, 50)))
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(3, 40, 50)) as store:
        store.paint(np.full((6, 8), 1), (2, 3), plane=(1,))
        outline = SelectionOutline(image)
        outline.show(store, [1], WHOLE, (0,))
        assert not outline.layer.data.any()
        outline.show(store, [1], WHOLE, (1,))
        assert outline.layer.data.any()
        assert outline.layer.translate[0] == 1
