"""Changes of the layer list by others are told from the plugin's own."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.widgets.viewer.layer_list import LayerList


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def layer_list(viewer, qtbot):
    return LayerList(viewer)


def test_an_added_layer_is_announced_at_once(viewer, layer_list, qtbot):
    with qtbot.waitSignal(layer_list.changed, timeout=0):
        viewer.add_image(np.zeros((4, 4)))


def test_removed_layers_are_announced_together_a_moment_later(viewer, layer_list, qtbot):
    for _ in range(3):
        viewer.add_image(np.zeros((4, 4)))
    calls = []
    layer_list.changed.connect(lambda: calls.append(len(viewer.layers)))
    viewer.layers.clear()
    assert calls == []
    qtbot.waitUntil(lambda: bool(calls), timeout=60_000)
    assert calls == [0]


def test_own_changes_are_not_announced(viewer, layer_list, qtbot):
    with qtbot.assertNotEmitted(layer_list.changed, wait=30):
        with layer_list.own_change():
            layer = viewer.add_image(np.zeros((4, 4)))
        layer_list.remove([layer, layer])
    assert list(viewer.layers) == []


def test_a_closed_list_announces_nothing(viewer, layer_list, qtbot):
    layer_list.close()
    with qtbot.assertNotEmitted(layer_list.changed, wait=30):
        viewer.add_image(np.zeros((4, 4)))
