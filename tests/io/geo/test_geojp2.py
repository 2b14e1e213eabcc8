"""Map positions in JPEG 2000 files, compared with GDAL."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_sam.io.geo.geojp2 import read_jp2_position
from napari_sam.io.geo.geotiff import MapPosition, make_geo_tags
from napari_sam.io.images.open_image import open_image

UTM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


def box(kind, content):
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def geotiff_box(crs, transform):
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, np.zeros((1, 1), np.uint8), extratags=make_geo_tags(crs, transform, (9, 9)), metadata=None)
    return box(b"uuid", bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03") + tiff.getvalue())


@pytest.fixture
def picture(tmp_path):
    PillowImage.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "a.jp2")
    return tmp_path / "a.jp2"


def test_the_position_of_a_jpeg_2000_is_read(picture):
    content = picture.read_bytes()
    picture.write_bytes(content + geotiff_box("EPSG:32632", UTM))
    image = open_image(picture)
    assert (image.crs, image.transform, image.scale) == ("EPSG:32632", UTM, (10, 10))


def test_gdal_writes_positions_that_are_read(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    options = {"crs": "EPSG:32632", "transform": rasterio.Affine(*UTM), "driver": "JP2OpenJPEG"}
    try:
        with rasterio.open(tmp_path / "a.jp2", "w", width=64, height=64, count=3, dtype="uint8", **options) as file:
            file.write(np.zeros((3, 64, 64), np.uint8))
    except (rasterio.errors.RasterioError, ValueError):
        pytest.skip("this GDAL writes no JPEG 2000")
    (tmp_path / "a.jp2.aux.xml").unlink(missing_ok=True)
    assert (open_image(tmp_path / "a.jp2").crs, open_image(tmp_path / "a.jp2").transform) == ("EPSG:32632", UTM)


@pytest.mark.parametrize(
    "extra",
    [b"", b"\x00\x00\x00\x01uuid", b"\x00\x00\x00\x02uuid", box(b"uuid", b"short"), geotiff_box(None, UTM)[:90]],
)
def test_missing_and_damaged_boxes_give_no_position(picture, extra):
    picture.write_bytes(picture.read_bytes() + extra)
    assert read_jp2_position(picture) == MapPosition()
