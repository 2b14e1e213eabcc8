"""The map position of a TIFF, written and read back."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_sam.io.geo.crs import crs_text, parse_crs
from napari_sam.io.geo.geotiff import MapPosition, make_geo_tags, read_geo_tags
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from tests.io.geo.places import is_same_place

NORTH_UP = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
ROTATED = (0.3, 0.4, 500_000.0, 0.4, -0.3, 5_200_000.0)
DEGREES = (0.001, 0.0, 10.0, 0.0, -0.001, 50.0)


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
@pytest.mark.parametrize("crs", ["EPSG:32632", "My own grid", None])
def test_tags_that_were_written_are_read_back(tmp_path, crs, transform):
    tags = make_geo_tags(crs, transform, (9, 9))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=tags)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        found = read_geo_tags(file.pages.first)
    assert (found.crs or "") == (crs or "")
    assert found.transform == pytest.approx(transform)


def test_a_geographic_crs_has_a_key_of_its_own():
    directories = [make_geo_tags(c, t, (9, 9))[-1][3] for c, t in (("EPSG:4326", DEGREES), ("EPSG:32632", NORTH_UP))]
    assert [directory[-4] for directory in directories] == [2048, 3072]


def test_broken_tags_do_not_prevent_reading():
    tags = {33550: SimpleNamespace(value=("a", "b")), 33922: SimpleNamespace(value=(0, 0, 0, 1, 1, 1))}
    assert read_geo_tags(SimpleNamespace(tags=tags)) == MapPosition()


@pytest.mark.parametrize("crs", ["ESRI:102003", "ESRI:54009", "+proj=tmerc +lon_0=9.5 +x_0=1000 +ellps=bessel"])
def test_a_system_without_epsg_code_is_written_so_that_gdal_reads_it(tmp_path, crs):
    rasterio = pytest.importorskip("rasterio")
    text = crs_text(parse_crs(crs))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=make_geo_tags(text, NORTH_UP, (9, 9)))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert is_same_place(read_geo_tags(file.pages.first).crs, text)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert is_same_place(file.crs.to_wkt(), text)


MATRIX = (17.3, 5.0, 0, 100.0, 10.0, -8.7, 0, 200.0, 0, 0, 0, 0, 0, 0, 0, 1)
AFFINES = {
    "matrix": [(34264, 12, 16, MATRIX, True)],
    "scale and tie point": [(33550, 12, 3, (2.0, 3.0, 0.0), True), (33922, 12, 6, (1, 2, 0, 5.0, 9.0, 0), True)],
    "negative scale": [(33550, 12, 3, (2.0, -3.0, 0.0), True), (33922, 12, 6, (0, 0, 0, 5.0, 9.0, 0), True)],
    "scale and two points": [
        (33550, 12, 3, (2.0, 3.0, 0.0), True),
        (33922, 12, 12, (0, 0, 0, 5.0, 9.0, 0, 9, 9, 0, 23.0, -18.0, 0), True),
    ],
}


@pytest.mark.parametrize("raster_type", [None, 1, 2])
@pytest.mark.parametrize("name", AFFINES)
def test_an_affine_without_crs_is_read_as_gdal_reads_it(tmp_path, name, raster_type):
    rasterio = pytest.importorskip("rasterio")
    keys = [] if raster_type is None else [(34735, 3, 8, (1, 1, 0, 1, 1025, 0, 1, raster_type), True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=AFFINES[name] + keys, metadata=None)
    with rasterio.open(tmp_path / "a.tif") as file:
        expected = tuple(file.transform)[:6]
    assert open_image(tmp_path / "a.tif").transform == pytest.approx(expected)


@pytest.mark.parametrize(("bend", "points"), [(0, 0), (5, 4)])
def test_control_points_give_an_affine_if_one_fits_them(tmp_path, bend, points):
    ties = [(c, r, 0, 500 + 2.0 * c, 900 - 3.0 * r, 0) for c in (0, 9) for r in (0, 9)]
    ties[-1] = (9, 9, 0, 518.0 + bend, 873.0, 0)
    values = tuple(v for tie in ties for v in tie)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=[(33922, 12, 24, values, True)])
    image = open_image(tmp_path / "a.tif")
    expected = None if bend else pytest.approx((2, 0, 500, 0, -3, 900), abs=1e-9)
    assert (image.transform, image.control_points) == (expected, points)
    assert any("4 ground control points" in note for note in image.choices) == bool(bend)
    with LabelStore.create(tmp_path / "s.zarr", like=image) as store:
        store.paint(np.ones((2, 2), np.uint32), (0, 0))
        if bend:
            head = json.loads(store.export(tmp_path / "o.geojson").read_text())["napari_sam"]
            assert "4 ground control points" in head["map"]


@pytest.mark.parametrize(("transform", "said"), [(NORTH_UP, True), (DEGREES, False)])
def test_metres_that_are_called_degrees_are_reported(tmp_path, transform, said):
    tags = make_geo_tags("EPSG:4326", transform, (9, 9))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=tags)
    assert any("no degrees" in note for note in open_image(tmp_path / "a.tif").choices) == said
