"""GeoTIFF keys with and without codes, compared with GDAL."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_sam.io.geo.geo_keys import crs_of_keys, parse_geo_keys
from napari_sam.io.images.open_image import open_image
from tests.io.geo.places import is_same_place

PROJECTIONS = [
    "ESRI:102003",
    "ESRI:54009",
    "ESRI:102008",
    "EPSG:27572",  # degrees from Paris, in grads
    "+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +datum=WGS84",
    "+proj=tmerc +lon_0=9.5 +k=0.9999 +x_0=1000 +ellps=bessel +towgs84=598.1,73.7,418.2,0.202,0.045,-2.455,6.7",
    "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=40 +lon_0=10 +units=us-ft +datum=NAD83",
    "+proj=merc +lat_ts=30 +lon_0=5 +datum=WGS84",
    "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +datum=WGS84",
    "+proj=sinu +R=6371007.181",
    "+proj=laea +lat_0=40 +lon_0=10 +R=6371000",
    "+proj=omerc +lat_0=4 +lonc=115 +alpha=53 +gamma=53 +k=0.99984 +x_0=590476 +y_0=442857 +ellps=evrstSS",
    "+proj=cea +lat_ts=30 +datum=WGS84",
]


@pytest.mark.parametrize("flavour", ["STANDARD", "ESRI_PE"])
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_user_defined_projection_is_read_as_gdal_reads_it(tmp_path, projection, flavour):
    rasterio = pytest.importorskip("rasterio")
    crs, transform = rasterio.CRS.from_user_input(projection), rasterio.Affine(30, 0, 1000, 0, -30, 9000)
    options = {"crs": crs, "transform": transform, "GEOTIFF_KEYS_FLAVOR": flavour}
    with rasterio.open(tmp_path / "a.tif", "w", width=9, height=9, count=1, dtype="uint8", **options) as file:
        file.write(np.zeros((1, 9, 9), np.uint8))
    (tmp_path / "a.tif.aux.xml").unlink(missing_ok=True)
    with rasterio.open(tmp_path / "a.tif") as file:
        expected = file.crs.to_wkt()
    assert is_same_place(open_image(tmp_path / "a.tif").crs, expected)


def keys(**codes):
    entries = [(int(key[1:]), 0, 1, value) for key, value in codes.items()]
    return parse_geo_keys((1, 1, 0, len(entries), *(n for entry in entries for n in entry)), (), "")


def test_a_projected_system_is_not_taken_for_its_geographic_base():
    assert crs_of_keys(keys(k1024=1, k2048=4326, k3072=32767)) is None
    assert crs_of_keys(keys(k1024=2, k2048=4326)) == "EPSG:4326"
    assert crs_of_keys(keys(k2048=4326)) == "EPSG:4326"


def test_the_code_of_a_projection_needs_no_parameters():
    assert is_same_place(crs_of_keys(keys(k1024=1, k2048=4258, k3072=32767, k3074=16032)), "EPSG:25832")


def test_codes_of_esri_and_unknown_codes_are_kept():
    assert crs_of_keys(keys(k1024=1, k3072=54009)) == "ESRI:54009"
    assert crs_of_keys(keys(k1024=1, k3072=32599)) == "EPSG:32599"


def test_a_geocentric_system_is_no_map():
    assert crs_of_keys(keys(k1024=3, k2048=4978)) is None


def test_the_unit_in_the_keys_overrides_that_of_the_code(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    directory = (1, 1, 0, 3, 1024, 0, 1, 1, 3072, 0, 1, 32632, 3076, 0, 1, 9002)
    scale = [(33550, 12, 3, (2.0, 3.0, 0.0), True), (33922, 12, 6, (0, 0, 0, 500000.0, 540000.0, 0), True)]
    tags = [*scale, (34735, 3, len(directory), directory, True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=tags, metadata=None)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert is_same_place(open_image(tmp_path / "a.tif").crs, file.crs.to_wkt())


def test_an_image_without_a_map_does_not_load_proj(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8))
    code = (
        f"import sys; from napari_sam import open_image; open_image({str(tmp_path / 'a.tif')!r}); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "tifffile" in loaded
    assert not {"pyproj", "shapely"} & set(loaded)
