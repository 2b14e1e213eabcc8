"""Objects of other programs' layers as prompts: where they lie, what becomes of their outlines and classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes

from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.layers.layer_prompts import FilePrompts, labels_on_image, layers_with_objects, prompts_of_layer
from napari_sam.layers.placement import TEMPORARY
from napari_sam.layers.region_layer import region_layer

SQUARE = [[4, 6], [4, 15], [11, 15], [11, 6]]


@pytest.fixture
def image():
    return Image(np.zeros((40, 50), np.uint8), scale=(0.5, 0.5), translate=(3, 4), name="image")


def labels_array():
    labels = np.zeros((40, 50), np.int32)
    labels[5:12, 7:16] = 3
    labels[20:30, 30:31] = 9
    return labels


def read(layer, image, plane=(), *, masks=True):
    return prompts_of_layer(layer, image, plane).read(image_from_layer(image, plane), masks=masks)


def test_each_label_becomes_its_box_and_its_pixels(image):
    layer = Labels(labels_array(), scale=image.scale, translate=image.translate)
    table = read(layer, image)
    assert table.boxes.tolist() == [[5, 7, 12, 16], [20, 30, 30, 31]]
    assert table.number.tolist() == [3, 9]
    assert table.keywords(0)["mask"].mask.all()
    assert "mask" not in read(layer, image, masks=False).keywords(0)


def test_labels_of_another_resolution_are_resampled_to_the_image(image):
    coarse = np.zeros((20, 25), np.uint16)
    coarse[2:5, 4:9] = 7
    layer = Labels(coarse, scale=(1, 1), translate=(3.25, 4.25))
    assert read(layer, image).boxes.tolist() == [[4, 8, 10, 18]]


def test_labels_in_place_are_not_copied(image):
    labels = labels_array()
    layer = Labels(labels, scale=image.scale, translate=image.translate)
    assert np.shares_memory(labels_on_image(layer, image, ()), labels)


def test_labels_with_more_axes_than_the_image_are_refused(image):
    with pytest.raises(PromptError, match="3 axes"):
        prompts_of_layer(Labels(np.zeros((2, 40, 50), int)), image, ())


def test_labels_of_a_stack_are_read_on_the_plane_that_is_shown():
    stack = Image(np.zeros((3, 40, 50), np.uint8))
    labels = np.zeros((3, 40, 50), np.int32)
    labels[1] = labels_array()
    assert read(Labels(labels), stack, (1,)).number.tolist() == [3, 9]
    assert len(read(Labels(labels), stack, (2,))) == 0
    assert read(Labels(labels_array()), stack, (2,)).number.tolist() == [3, 9]


def test_shapes_become_boxes_and_areas_in_pixels_of_the_image(image):
    triangle = [[20, 20], [20, 32], [32, 20]]
    line = [[1, 1], [8, 8]]
    outside = [[90, 90], [90, 99], [99, 99], [99, 90]]
    layer = Shapes(
        [SQUARE, triangle, line, outside],
        shape_type=["rectangle", "polygon", "line", "rectangle"],
        features={"Class": ["cell", "", "x", "y"]},
        scale=image.scale,
        translate=image.translate,
    )
    table = read(layer, image)
    np.testing.assert_allclose(table.boxes, [[4.5, 6.5, 11.5, 15.5], [20.5, 20.5, 32.5, 32.5]])
    assert table.category == ["cell", None]
    assert table.skipped == {"unreadable": 2}
    assert "mask" not in table.keywords(0)
    mask = table.keywords(1)["mask"].mask
    assert mask[1, 1]
    assert not mask[-1, -1]


def test_each_point_is_an_object(image):
    layer = Points([[4.0, 6.0], [5.0, 8.0]], scale=(1, 1))
    table = read(layer, image)
    assert table.points.tolist() == [[2, 4], [4, 8]]
    assert table.first.tolist() == [0, 1, 2]


def test_shapes_of_other_planes_and_empty_layers_are_reported():
    stack = Image(np.zeros((3, 40, 50), np.uint8))
    layer = Shapes([np.insert(SQUARE, 0, 1, axis=1)], ndim=3)
    assert len(read(layer, stack, (1,))) == 1
    with pytest.raises(PromptError, match="plane that is shown"):
        prompts_of_layer(layer, stack, (0,))
    with pytest.raises(PromptError, match="no objects yet"):
        prompts_of_layer(Points(ndim=3), stack, (0,))


def test_files_give_outlines_where_they_have_them(tmp_path, image):
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [[p[::-1] for p in SQUARE]]},
    }
    path = tmp_path / "a ü.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert "mask" in FilePrompts(path).read(image_from_layer(image), masks=True).keywords(0)
    table = tmp_path / "boxes.csv"
    table.write_text("y0,x0,y1,x1\n1,2,9,8\n90,90,99,99\n")
    read_table = FilePrompts(table).read(image_from_layer(image), masks=True)
    assert len(read_table) == 1
    assert read_table.skipped == {"outside": 1}


def test_the_plugins_own_layers_are_not_offered(viewer, image):
    viewer.add_layer(image)
    region_layer(viewer, image)
    kept = viewer.add_labels(labels_array(), name="cellpose")
    excluded = viewer.add_labels(labels_array(), name="store")
    viewer.add_labels(labels_array(), name="preview", metadata={TEMPORARY: True})
    points = viewer.add_points([[1, 2]], name="detections")
    assert layers_with_objects(viewer.layers, [excluded]) == [kept, points]
