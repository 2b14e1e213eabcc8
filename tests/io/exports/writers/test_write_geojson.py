"""GeoJSON: pixels for QuPath, longitude and latitude on the map."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from skimage.measure import regionprops

from napari_sam.errors import LabelsError
from napari_sam.io.geo.crs import crs_text, parse_crs
from napari_sam.io.labels.label_store import LabelStore
from tests.io.exports.drawings import DEGREES, UTM, area, features, filled, like, on_map


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
    assert first["properties"]["classification"] == {"name": "cell", "color": [230, 159, 0]}
    assert first["properties"]["objectType"] == "annotation"
    measured = first["properties"]["measurements"]
    assert (measured["area_px"], measured["centroid_y_px"], measured["centroid_x_px"]) == (5, 0.6, 1.8)
    assert measured["equivalent_diameter_px"] == pytest.approx(np.sqrt(20 / np.pi))
    assert sorted(set(measured) - {"area_px", "centroid_y_px", "centroid_x_px", "equivalent_diameter_px"}) == [
        "eccentricity",
        "orientation",
    ]
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


def test_properties_are_the_measurements_of_scikit_image(store, blobs, tmp_path):
    found = {f["id"]: f["properties"] for f in features(store.export(tmp_path / "o.geojson"))}
    for region in regionprops(blobs):
        properties = found[region.label]
        assert properties["area_px"] == region.area
        assert properties["area_world"] == region.area / 8
        assert [properties[name] for name in ("y0", "x0", "y1", "x1")] == list(region.bbox)
        assert (properties["centroid_y_px"], properties["centroid_x_px"]) == pytest.approx(region.centroid)
        assert properties["eccentricity"] == pytest.approx(region.eccentricity, abs=1e-6)
        assert properties["equivalent_diameter_px"] == pytest.approx(region.equivalent_diameter_area)


def test_the_area_of_an_object_in_degrees_is_in_square_metres(tmp_path):
    with on_map(tmp_path, "EPSG:4326", DEGREES) as labels:
        geojson, gpkg, csv = (labels.export(tmp_path / f"o.{ending}") for ending in ("geojson", "gpkg", "csv"))
        measured = labels.measure()
    (feature,) = features(geojson)
    geod = pyproj.Geod(ellps="WGS84")
    expected = abs(geod.polygon_area_perimeter(*np.array(feature["geometry"]["coordinates"][0]).T)[0])
    with contextlib.closing(sqlite3.connect(gpkg)) as db:
        (in_gpkg,) = db.execute("SELECT area_m2 FROM objects").fetchone()
    areas = [feature["properties"]["area_m2"], in_gpkg, pd.read_csv(csv).area_m2[0], measured.area_m2[0]]
    assert areas == pytest.approx([expected] * 4, rel=1e-5)  # sides along parallels are no geodesics
    assert "area_map" not in measured
    assert measured.equivalent_diameter_m[0] == pytest.approx(np.sqrt(4 * expected / np.pi), rel=1e-5)


def test_a_map_without_crs_has_areas_in_its_own_unit(tmp_path):
    with on_map(tmp_path, None, UTM) as labels:
        row, measured = pd.read_csv(labels.export(tmp_path / "o.csv")).iloc[0], labels.measure().iloc[0]
    assert (row.area_map, measured.area_map) == (0.75, 0.75)
    assert (row.centroid_x_map, row.centroid_y_map) == (measured.centroid_x_map, measured.centroid_y_map)
    assert not {"area_m2", "area_world"} & {*row.index, *measured.index}


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32601", (5000.0, 0.0, 166_021.0 - 100_000, 0.0, -5000.0, 5e5)),
        ("EPSG:3413", (40_000.0, 0.0, -1_700_000.0, 0.0, -40_000.0, 1_000_000.0)),
    ],
)
def test_objects_at_the_antimeridian_are_cut_there(tmp_path, crs, transform):
    disc = (np.hypot(*np.mgrid[-9:10, -9:10]) < 9).astype(np.uint32)
    with LabelStore.create(tmp_path / "s", like=like(crs, transform, (60, 60))) as labels:
        labels.paint(disc, (20, 20))
        (feature,) = features(labels.export(tmp_path / "o.geojson"))
        expected = labels.measure().area_m2[0]
    geod = pyproj.Geod(ellps="WGS84")
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    assert shape.bounds[0] >= -180
    assert shape.bounds[2] <= 180
    assert abs(geod.geometry_area_perimeter(shapely.segmentize(shape, 1.0))[0]) == pytest.approx(expected, rel=0.02)


def test_metres_that_are_called_degrees_are_refused(tmp_path):
    with on_map(tmp_path, "EPSG:4326", UTM) as labels:
        assert labels.measure().area_map[0] == 0.75  # in whatever the numbers are
        with pytest.raises(LabelsError, match="lies where EPSG:4326 has no longitude and latitude"):
            labels.export(tmp_path / "o.geojson")


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", (6.0, 0.0, -180.0, 0.0, -3.0, 90.0)),
        ("EPSG:3857", (668_000.0, 0.0, -20_030_000.0, 0.0, -300_000.0, 9_000_000.0)),
    ],
)
def test_an_object_around_the_world_is_not_cut(tmp_path, crs, transform):
    with LabelStore.create(tmp_path / "s", like=like(crs, transform, (60, 60))) as labels:
        labels.paint(np.ones((10, 58), np.uint32), (20, 1))
        (feature,) = features(labels.export(tmp_path / "o.geojson"))
    (ring,) = feature["geometry"]["coordinates"]
    assert len(ring) == 5
    assert max(x for x, _ in ring) == pytest.approx(-min(x for x, _ in ring), abs=0.2)
