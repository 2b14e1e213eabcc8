"""GeoJSON points and polygons as prompts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import SHAPE, keywords, written


@pytest.fixture
def on_map(image):
    image.crs, image.transform = "EPSG:4326", (0.5, 0.0, 10.0, 0.0, -0.5, 50.0)
    return image


def feature(kind, coordinates, **properties):
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }


def collection(*features, **head):
    return json.dumps({"type": "FeatureCollection", "features": list(features), **head})


SQUARE = [[20, 10], [40, 10], [40, 30], [20, 30], [20, 10]]


def test_geojson_in_pixels_counts_from_the_outer_corner(tmp_path, image):
    text = collection(
        feature("Point", [20.5, 10.5], category="a"),
        feature("Polygon", [SQUARE], classification={"name": "b"}),
        feature("MultiPoint", [[1, 1], [3, 3]]),
    )
    table = read_prompts(written(tmp_path / "g.geojson", text), image)
    assert keywords(table) == [
        {"points": [[10, 20]], "point_labels": [1]},
        {"box": [10, 20, 30, 40]},
        {"points": [[0.5, 0.5], [2.5, 2.5]], "point_labels": [1, 1]},
    ]
    assert table.category == ["a", "b", None]


def test_geojson_polygons_are_masks_without_their_holes(tmp_path, image):
    hole = [[25, 15], [30, 15], [30, 20], [25, 20], [25, 15]]
    path = written(tmp_path / "g.geojson", collection(feature("Polygon", [SQUARE, hole])))
    mask = read_prompts(path, image, masks=True).keywords(0)["mask"]
    assert mask.bbox == (10, 20, 30, 40)
    assert mask.mask.sum() == 400 - 25
    assert not mask.mask[5:10, 5:10].any()


def test_longitude_and_latitude_go_through_the_transform(tmp_path, on_map):
    text = collection(feature("Polygon", [[[10, 50], [20, 50], [20, 40], [10, 40], [10, 50]]]))
    path = written(tmp_path / "g.geojson", text)
    assert keywords(read_prompts(path, on_map)) == [{"box": [0, 0, 20, 20]}]
    assert keywords(read_prompts(path, on_map, coordinates="map")) == [{"box": [0, 0, 20, 20]}]
    assert keywords(read_prompts(path, on_map, coordinates="pixels")) == [{"box": [40, 10, 50, 20]}]


def test_geojson_in_another_crs_or_without_a_transform_is_refused(tmp_path, on_map, image):
    on_map.crs = "EPSG:32632"
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}
    path = written(tmp_path / "g.geojson", collection(feature("Point", [1, 1]), crs=crs))
    with pytest.raises(PromptError, match=r"EPSG::3035, but the image lies in EPSG:32632"):
        read_prompts(path, on_map)
    plain = open_image(np.zeros(SHAPE, np.uint8))
    with pytest.raises(PromptError, match="has no map position"):
        read_prompts(path, plain, coordinates="map")


def test_a_feature_that_cannot_be_used_is_named(tmp_path, image):
    text = collection(feature("Point", [1, 1]), feature("LineString", [[1, 1], [2, 2]]), {"type": "Feature"})
    path = written(tmp_path / "g.geojson", text)
    with pytest.raises(PromptError, match=r"feature 1: .*LineString: give points or polygons"):
        read_prompts(path, image)
    assert read_prompts(path, image, errors="skip").skipped == {"unreadable": 2}


def test_a_coordinate_beyond_all_numbers_is_named_or_skipped(tmp_path, image):
    path = written(tmp_path / "g.geojson", collection(feature("Point", [2, 3]), feature("Point", [10**400, 1])))
    with pytest.raises(PromptError, match="feature 1: its geometry cannot be used"):
        read_prompts(path, image)
    assert keywords(read_prompts(path, image, errors="skip")) == [{"points": [[2.5, 1.5]], "point_labels": [1]}]


def test_an_empty_crs_means_longitude_and_latitude(tmp_path, on_map):
    path = written(tmp_path / "g.geojson", collection(feature("Point", [20, 45]), crs={"properties": None}))
    assert keywords(read_prompts(path, on_map)) == [{"points": [[9.5, 19.5]], "point_labels": [1]}]


def test_a_feature_without_a_geometry_is_named(tmp_path, image):
    content = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": None}]}
    path = written(tmp_path / "a.geojson", json.dumps(content))
    with pytest.raises(PromptError, match=r"feature 0: its geometry cannot be used \(it is empty\)"):
        read_prompts(path, image)
