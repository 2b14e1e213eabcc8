"""GeoJSON: pixels for QuPath, longitude and latitude on the map."""

from __future__ import annotations

import json

import numpy as np
import pyproj
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.geo.crs import crs_text, parse_crs
from tests.io.exports.drawings import DEGREES, UTM, area, features, filled, on_map


def test_geojson_in_pixels_gives_back_every_pixel(store, blobs, tmp_path):
    out = store.export(tmp_path / "cells.geojson")
    found = np.zeros_like(blobs)
    for feature in features(out):
        geometry = feature["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        assert all(ring[0] == ring[-1] for polygon in polygons for ring in polygon)
        found[filled([[ring[:-1] for ring in p] for p in polygons], blobs.shape)] = feature["id"]
    np.testing.assert_array_equal(found, blobs)


def test_geojson_has_the_properties_of_qupath_and_a_note_on_coordinates(small, tmp_path):
    small.set_category(1, "cell")
    out = small.export(tmp_path / "s.geojson")
    first, second = features(out)
    assert first["geometry"]["coordinates"] == [[[3, 0], [3, 1], [4, 1], [4, 2], [1, 2], [1, 0], [3, 0]]]
    assert first["properties"]["classification"] == {"name": "cell"}
    assert first["properties"]["objectType"] == "annotation"
    assert first["properties"]["measurements"] == {"area_px": 5}
    assert "classification" not in second["properties"]  # QuPath takes no null
    assert "pixels" in json.loads(out.read_text())["napari_sam"]["coordinates"]


def test_geojson_of_a_map_is_longitude_and_latitude_and_counterclockwise(tmp_path):
    with on_map(tmp_path, "EPSG:4326", DEGREES) as labels:
        out = labels.export(tmp_path / "o.geojson")
        in_pixels = labels.export(tmp_path / "p.geojson", format="geojson-pixels")
    (ring,) = features(out)[0]["geometry"]["coordinates"]
    assert sorted({x for x, _ in ring}) == [10.02, 10.021, 10.022]
    assert sorted({y for _, y in ring}) == [49.988, 49.989, 49.99]
    assert area(ring[:-1]) == pytest.approx(3e-6)
    assert "crs" not in json.loads(out.read_text())  # RFC 7946 knows only one
    assert features(in_pixels)[0]["geometry"]["coordinates"][0][0] == [22, 10]


def test_geojson_of_a_projected_map_is_reprojected(tmp_path):
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        (feature,) = features(labels.export(tmp_path / "o.geojson"))
    (ring,) = feature["geometry"]["coordinates"]
    back = pyproj.Transformer.from_crs(4326, 32632, always_xy=True)
    x, y = back.transform(*np.array(ring[:-1]).T)
    assert np.array(x) == pytest.approx(500_000 + 0.5 * np.array([20, 20, 21, 21, 22, 22])[np.argsort(np.argsort(x))])
    assert abs(area(list(zip(x, y, strict=True)))) == pytest.approx(0.75, abs=0.01)


ALBERS = "+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +datum=WGS84 +type=crs"


def test_geojson_of_a_projection_without_code_is_reprojected(tmp_path):
    with on_map(tmp_path, crs_text(parse_crs(ALBERS)), (30.0, 0.0, -500_000.0, 0.0, -30.0, 1_500_000.0)) as labels:
        (feature,) = features(labels.export(tmp_path / "o.geojson"))
    expected = pyproj.Transformer.from_crs(ALBERS, 4326, always_xy=True).transform(-499_400, 1_499_700)
    assert min(np.hypot(*(np.array(p) - expected)) for p in feature["geometry"]["coordinates"][0]) < 1e-8


@pytest.mark.parametrize("crs", [None, "My own grid", "EPSG:32599"])
def test_map_coordinates_without_a_known_crs_are_refused(tmp_path, crs):
    with on_map(tmp_path, crs, UTM) as labels:
        with pytest.raises(LabelsError, match="GeoJSON holds longitude and latitude"):
            labels.export(tmp_path / "o.geojson")
    assert [p.name for p in tmp_path.iterdir()] == ["map.zarr"]
