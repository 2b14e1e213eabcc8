"""Changes of the layer list by others are told from the plugin's own."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.widgets.viewer.layer_list import LayerList


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def layer_list(viewer, qtbot):
    made = LayerList(viewer)
    yield made
    gc.unfreeze()


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


@pytest.fixture
def settled(viewer, layer_list):
    """A viewer with the layers "old" and "other", whose objects were set aside, and others that came later."""
    for name in ("old", "other"):
        viewer.add_image(np.zeros((4, 4)), name=name)
    layer_list.settle()
    for name in ("new", "selected"):  # napari keeps the layer that was selected last
        viewer.add_image(np.zeros((4, 4)), name=name)
    return viewer


def test_objects_that_exist_when_all_is_loaded_are_set_aside(settled, layer_list):
    assert gc.get_freeze_count() > 0
    layer_list.remove([settled.layers["new"]])
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize("name", ["old", "new"])
@pytest.mark.parametrize("by", ["user", "plugin"])
def test_a_removed_layer_is_freed_although_objects_were_set_aside(settled, layer_list, qtbot, name, by):
    gone = weakref.ref(settled.layers[name])
    if by == "user":
        settled.layers.remove(settled.layers[name])
    else:
        layer_list.remove([settled.layers[name]])
    gc.collect()  # as the canvas of napari does
    assert gone() is None
    qtbot.waitUntil(lambda: gc.get_freeze_count() > 0)  # the rest is set aside again


def test_of_several_layers_that_were_set_aside_all_are_freed(settled, layer_list):
    gone = [weakref.ref(layer) for layer in settled.layers[:3]]
    layer_list.remove(settled.layers[:3])
    gc.collect()
    assert [layer() for layer in gone] == [None] * 3


def test_closing_takes_the_objects_back(settled, layer_list):
    layer_list.close()
    assert gc.get_freeze_count() == 0
