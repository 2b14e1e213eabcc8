"""Keys are bound to the viewer and to the plugin's layers, one set at a time."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.widgets.viewer.key_bindings import KeyBindings


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def pressed():
    return []


def press(owner, key):
    binding = next((action for k, action in owner.keymap.items() if str(k) == key), None)
    if binding is not None:
        binding(owner)


def test_keys_work_on_the_viewer_and_on_layers(viewer, pressed):
    keys, layer = KeyBindings(viewer), viewer.add_points(ndim=2)
    keys.add_layer(layer)
    keys.use({"J": lambda: pressed.append("j")})
    press(viewer, "J")
    press(layer, "J")
    assert pressed == ["j", "j"]


def test_a_layer_added_later_gets_the_keys_in_use(viewer, pressed):
    keys = KeyBindings(viewer)
    keys.use({"J": lambda: pressed.append("j")})
    layer = viewer.add_labels(np.zeros((4, 4), int))
    keys.add_layer(layer)
    press(layer, "J")
    assert pressed == ["j"]


def test_another_set_replaces_the_keys(viewer, pressed):
    keys = KeyBindings(viewer)
    keys.use({"J": lambda: pressed.append("j")})
    keys.use({"K": lambda: pressed.append("k")})
    press(viewer, "J")
    press(viewer, "K")
    keys.use({})
    press(viewer, "K")
    assert pressed == ["k"]


def test_keys_of_all_pages_outlast_a_page_which_may_use_them_itself(viewer, pressed):
    keys = KeyBindings(viewer)
    keys.use_on_all_pages({"PageDown": lambda: pressed.append("all"), "J": lambda: pressed.append("all")})
    keys.use({"J": lambda: pressed.append("page")})
    press(viewer, "J")
    keys.use({})
    press(viewer, "J")
    press(viewer, "PageDown")
    keys.use_on_all_pages({})
    press(viewer, "J")
    assert pressed == ["page", "all", "all"]
