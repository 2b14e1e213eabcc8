"""Colours by class and by measured value."""

from __future__ import annotations

import numpy as np

from napari_sam.layers.objects.object_colours import UNKNOWN, class_colormap, value_colormap


def test_objects_have_the_colour_of_their_class_and_are_grey_without_one():
    colours = class_colormap([1, 2, 5], ["a", None, "b"], {"a": "#ff0000", "b": "#0000ff"})
    rgba = colours.map(np.array([1, 2, 5, 9]))
    np.testing.assert_allclose(rgba, [(1, 0, 0, 1), UNKNOWN, (0, 0, 1, 1), UNKNOWN], atol=1e-6)


def test_ten_thousand_classes_are_drawn_and_those_that_share_a_colour_share_it():
    names = [f"class {i}" for i in range(10_000)]
    palette = [f"#{i:02x}00ff" for i in range(100)]
    colours = class_colormap(np.arange(1, 10_001), names, {n: palette[i % 100] for i, n in enumerate(names)})
    rgba = colours.map(np.array([1, 101, 2]))
    np.testing.assert_array_equal(rgba[0], rgba[1])
    assert (rgba[0] != rgba[2]).any()


def test_more_distinct_colours_than_can_be_drawn_still_draw_every_class():
    names = [f"class {i}" for i in range(1000)]
    colours = class_colormap(np.arange(1, 1001), names, {n: f"#{i:06x}" for i, n in enumerate(names)})
    assert (colours.map(np.arange(1, 1001))[:, 3] == 1).all()
    np.testing.assert_allclose(colours.map(np.array([200]))[0], (0, 0, 199 / 255, 1), atol=1e-6)


def test_values_span_the_colours_without_their_outliers_and_unknown_ones_are_grey():
    values = [*np.linspace(10, 20, 300), 1e9, np.nan]
    colours, (low, high) = value_colormap(np.arange(1, 303), values)
    assert 10 <= low < 10.2
    assert 19.8 < high <= 20
    rgba = colours.map(np.array([1, 300, 301, 302]))
    np.testing.assert_array_equal(rgba[1], rgba[2])
    np.testing.assert_allclose(rgba[3], UNKNOWN, atol=1e-6)
    assert rgba[0, 2] > rgba[1, 2]  # viridis: blue for the smallest, yellow for the largest


def test_equal_values_have_a_colour_and_missing_ones_no_range():
    colours, limits = value_colormap([1, 2], [3.0, 3.0])
    assert limits == (3.0, 3.0)
    np.testing.assert_array_equal(*colours.map(np.array([1, 2])))
    assert value_colormap([1], [np.nan])[1] is None
