"""Names of columns that other programs give boxes and points."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import keywords


def test_tables_of_regionprops_and_of_our_exports_are_read(image):
    boxes = pd.DataFrame({"label": [7], "bbox-0": [1], "bbox-1": [2], "bbox-2": [3], "bbox-3": [4], "centroid-0": [2]})
    assert keywords(read_prompts(boxes, image)) == [{"box": [1, 2, 3, 4]}]
    centroids = pd.DataFrame({"label": [7], "centroid_y_px": [1.5], "centroid_x_px": [2.5]})
    assert keywords(read_prompts(centroids, image)) == [{"points": [[1.5, 2.5]], "point_labels": [1]}]


@pytest.mark.parametrize(
    "columns",
    [
        {"x": 2, "y": 1, "w": 40, "h": 30},
        {"Height": 30, "Width": 40, "Y": 1, "X": 2},
        {"left": 2, "top": 1, "width": 40, "height": 30},
        {"xmin": 2, "ymin": 1, "xmax": 42, "ymax": 31},
        {"top": 1, "left": 2, "bottom": 31, "right": 42},
        {"left": 2, "top": 1, "right": 42, "bottom": 31},
        {"y0": 1, "x0": 2, "y1": 31, "x1": 42, "x": 2, "y": 1, "width": 40, "height": 30},
    ],
)
def test_corners_with_sizes_are_boxes_and_never_points(image, columns):
    assert keywords(read_prompts(pd.DataFrame([columns]), image)) == [{"box": [1, 2, 31, 42]}]


def test_a_points_layer_of_napari_is_points_unless_it_is_of_a_stack_or_shapes(image):
    frame = pd.DataFrame({"index": [0], "axis-0": [5.0], "axis-1": [7.0]})
    assert keywords(read_prompts(frame, image)) == [{"points": [[5, 7]], "point_labels": [1]}]
    for column in ("axis-2", "vertex-index"):
        with pytest.raises(PromptError, match="give y0, x0, y1, x1 or x, y, width, height"):
            read_prompts(frame.assign(**{column: 1}), image)


@pytest.mark.parametrize(("size", "missing"), [("w", "a height"), ("height", "a width")])
def test_a_corner_with_one_size_is_an_error(image, size, missing):
    with pytest.raises(PromptError, match=f"columns x, y and {size}, but not {missing}"):
        read_prompts(pd.DataFrame({"x": [1], "y": [2], size: [3]}), image)


def test_the_centroid_of_an_imagej_table_is_not_the_corner_of_its_box(image):
    row = {" ": 1, "Label": "a.tif", "Area": 900, "X": 22.5, "Y": 16, "BX": 2, "BY": 1, "Width": 40, "Height": 30}
    assert keywords(read_prompts(pd.DataFrame([row]), image)) == [{"box": [1, 2, 31, 42]}]


@pytest.mark.parametrize("centre", [("x_center", "y_center"), ("CX", "CY"), ("xc", "yc")])
def test_a_centre_with_a_size_is_the_middle_of_a_box(image, centre):
    row = {centre[0]: 22, centre[1]: 16, "w": 40, "h": 30}
    assert keywords(read_prompts(pd.DataFrame([row]), image)) == [{"box": [1, 2, 31, 42]}]


def test_a_label_that_is_a_name_does_not_concern_points(image):
    table = read_prompts(pd.DataFrame([{"Label": "cells.tif", "X": 7, "Y": 5}]), image)
    assert keywords(table) == [{"points": [[5, 7]], "point_labels": [1]}]
