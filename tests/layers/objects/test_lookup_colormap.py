"""Labels get the colours of a table, however large they are."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_sam.layers.objects.lookup_colormap import LookupColormap

RED, GREEN, GREY = (1, 0, 0, 1), (0, 1, 0, 1), (0.5, 0.5, 0.5, 1)


@pytest.mark.parametrize("ids", [(3, 7, 90), (3, 70_000, 5_000_000), (3, 70_000, 4_000_000_000)])
def test_each_label_has_its_colour_and_others_are_grey(ids):
    colours = LookupColormap.of(ids[::-1], [-1, 1, 0], [RED, GREEN], GREY)
    data = np.array([[0, ids[0], ids[1]], [ids[2], 5, ids[2] + 1]], np.uint32)
    expected = np.array([[(0, 0, 0, 0), RED, GREEN], [GREY, GREY, GREY]], np.float32)
    np.testing.assert_array_equal(colours.map(data), expected)
    layer = Labels(data)
    layer.colormap = colours
    assert layer._slice.image.view.dtype == np.uint8  # napari draws eight bits fast
    np.testing.assert_array_equal(layer.get_color(ids[1]), GREEN)
    np.testing.assert_array_equal(layer.get_color(int(ids[2]) + 1), GREY)


def test_without_objects_all_labels_are_grey():
    colours = LookupColormap.of([], [], np.zeros((0, 4)), GREY)
    np.testing.assert_array_equal(colours.map(np.array([0, 9])), [(0, 0, 0, 0), GREY])


def test_only_the_selected_label_is_shown_if_napari_asks_for_it():
    colours = LookupColormap.of([1, 2], [0, 1], [RED, GREEN], GREY)
    layer = Labels(np.array([[0, 1, 2]], np.uint32))
    layer.colormap = colours
    layer.selected_label, layer.show_selected_label = 2, True
    np.testing.assert_array_equal(layer.get_color(2), GREEN)
    colours.use_selection, colours.selection = True, 2
    np.testing.assert_array_equal(colours.map(np.array([1, 2])), [(0, 0, 0, 0), GREEN])


def test_more_colours_than_a_label_image_is_drawn_with_are_refused():
    with pytest.raises(ValueError, match="255 colours"):
        LookupColormap.of([1], [0], np.ones((255, 4)), GREY)
