"""A layer that is inserted without being selected."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_sam.layers.insert_layer import insert_unselected


@pytest.fixture
def images(viewer):
    return [viewer.add_image(np.zeros((4, 5)), name=name) for name in ("lower", "upper")]


def _labels():
    return Labels(np.zeros((4, 5), np.uint8), name="labels")


def test_the_active_layer_stays_active_without_an_event(viewer, images):
    viewer.layers.selection.active = images[0]
    events = []
    viewer.layers.selection.events.active.connect(events.append)
    viewer.layers.selection.events.changed.connect(events.append)
    insert_unselected(viewer, 1, _labels())
    assert [x.name for x in viewer.layers] == ["lower", "labels", "upper"]
    assert viewer.layers.selection.active is images[0]
    assert set(viewer.layers.selection) == {images[0]}
    assert events == []


def test_several_selected_layers_stay_selected(viewer, images):
    viewer.layers.selection.update(images)
    insert_unselected(viewer, 0, _labels())
    assert set(viewer.layers.selection) == set(images)
    assert viewer.layers.selection.active is None


def test_nothing_is_selected_where_nothing_was(viewer, images):
    viewer.layers.selection.clear()
    insert_unselected(viewer, 2, _labels())
    assert not viewer.layers.selection


def test_a_layer_can_be_selected_after_it_was_inserted(viewer, images):
    layer = _labels()
    insert_unselected(viewer, 2, layer)
    viewer.layers.selection.active = layer
    assert set(viewer.layers.selection) == {layer}
