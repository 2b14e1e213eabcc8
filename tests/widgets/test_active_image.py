"""The image selected in the layer list is the one that clicks go to; selecting it does not stop clicks."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

A, B = (122, 182), (299, 269)


@pytest.fixture
def flipped(nuclei):
    return np.ascontiguousarray(nuclei[0][::-1])


def test_an_image_opened_later_is_the_one_that_is_clicked(menu_window, nuclei, flipped):
    menu_window.viewer.add_image(nuclei[0], name="first")
    window = menu_window()
    second = window.show(flipped, name="second")
    assert window.dock.images.layer is second
    assert window.panel.image.currentText() == "second"
    answer = window.predict(lambda: window.click(second, (512 - A[0], A[1])))
    assert answer.predictions[0].full_mask(flipped.shape)[512 - A[0], A[1]]
    window.key("C")
    layers = list(window.viewer.layers)
    (objects,) = [x for x in layers if isinstance(x, Labels) and x.name == "second objects"]
    assert layers.index(objects) > layers.index(second)  # visible, above both images
    assert objects.data[512 - A[0], A[1]] == 1


def test_selecting_an_image_for_its_contrast_does_not_stop_clicks(menu_window, nuclei):
    layer = menu_window.viewer.add_image(nuclei[0], name="first")
    window = menu_window()
    window.viewer.layers.selection.active = layer
    layer.contrast_limits = (0, 120)
    window.settle()
    assert window.viewer.layers.selection.active is layer  # its controls stay
    window.predict(lambda: window.click(layer, A))
    window.key("B")
    window.viewer.layers.selection.active = layer
    window.settle()
    answer = window.predict(lambda: window.click(layer, (150, 240)))
    assert answer.predictions[0].prompt.point_labels.tolist() == [1, 0]
    window.key("C")
    window.viewer.layers.selection.active = window.writer.layer
    window.settle()
    window.predict(lambda: window.click(layer, B))


def test_an_image_selected_in_the_list_becomes_the_target_and_stays_selected(menu_window, nuclei, flipped):
    first = menu_window.viewer.add_image(nuclei[0], name="first")
    second = menu_window.viewer.add_image(flipped, name="second")
    window = menu_window()
    assert window.dock.images.layer is second  # the one in view
    window.viewer.layers.selection.active = first
    window.settle()
    assert window.dock.images.layer is first
    assert window.viewer.layers.selection.active is first
    assert "“first” lies under “second”" in window.guide
    second.visible = False
    window.settle()
    assert "Click an object" in window.guide
    window.predict(lambda: window.click(first, A))
    first.visible = False
    assert "“first” is hidden" in window.guide


def test_of_several_channels_the_first_visible_one_is_the_target(menu_window, nuclei, flipped):
    menu_window.viewer.add_image(nuclei[0], name="first")
    window = menu_window()
    channels = window.viewer.add_image(np.stack([nuclei[0], flipped]), channel_axis=0, name=["a", "b"])
    window.settle()
    assert window.dock.images.layer is channels[0]
    assert "Click an object" in window.guide


def test_a_run_under_way_is_not_ended_by_another_selection(menu_window, nuclei, flipped):
    first = menu_window.viewer.add_image(nuclei[0], name="first")
    window = menu_window()
    window.dock.everything.run.is_running = True
    window.viewer.add_image(flipped, name="second")
    window.settle()
    assert window.dock.images.layer is first
    assert any("“first” is still being segmented" in message for message in window.errors)
    window.dock.everything.run.is_running = False
