"""World files and .aux.xml files, compared with GDAL."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_sam.io.images.open_image import open_image
from tests.io.geo.places import is_same_place

PIXELS = np.full((15, 10), 5, np.uint8)
WORLD = "2.0\n0.3\n-0.4\n-3.0\n500001.0\n5399998.5\n"
WKT = (
    'PROJCS["Custom",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Albers_Conic_Equal_Area"],PARAMETER["latitude_of_center",23],'
    'PARAMETER["longitude_of_center",-96],PARAMETER["standard_parallel_1",29.5],PARAMETER["standard_parallel_2",45.5],'
    'PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["metre",1]]'
)


def picture(path):
    if path.suffix == ".tif":
        tifffile.imwrite(path, PIXELS, metadata=None)
    else:
        PillowImage.fromarray(PIXELS).save(path)
    return path


def as_in_gdal(path):
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(path) as file:
        return tuple(file.transform)[:6]


@pytest.mark.parametrize(
    ("name", "world"), [("a.tif", "tfw"), ("a.jpg", "jgw"), ("a.png", "pgw"), ("a.png", "wld"), ("a.tif", "TFW")]
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_world_file_gives_the_transform(tmp_path, name, world):
    path = picture(tmp_path / name)
    (tmp_path / f"a.{world}").write_text(WORLD)
    image = open_image(path)
    assert image.transform == pytest.approx((2.0, -0.4, 500000.2, 0.3, -3.0, 5399999.85))
    assert image.transform == pytest.approx(as_in_gdal(path))
    assert image.crs is None


def test_an_auxiliary_file_gives_crs_and_transform(tmp_path):
    path = picture(tmp_path / "a.jpg")
    content = f"<SRS>{WKT}</SRS><GeoTransform>500000, 2, 0, 5400000, 0, -3</GeoTransform>".replace('"', "&quot;")
    (tmp_path / "a.jpg.aux.xml").write_text(f"<PAMDataset>{content}</PAMDataset>")
    image = open_image(path)
    assert image.transform == pytest.approx(as_in_gdal(path))
    assert is_same_place(image.crs, WKT)


@pytest.mark.parametrize("text", ["", "1\n2", "a b c d e f", "0 0 0 0 0 0", "nan 0 0 1 1 1", "1e999 0 0 1 1 1"])
def test_a_damaged_world_file_is_ignored(tmp_path, text):
    path = picture(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text(text)
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset><GeoTransform>")
    assert open_image(path).transform is None


def test_tags_of_the_file_precede_a_world_file(tmp_path):
    tags = [(33550, 12, 3, (2.0, 3.0, 0.0), True), (33922, 12, 6, (0, 0, 0, 7.0, 9.0, 0), True)]
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, metadata=None, extratags=tags)
    (tmp_path / "a.tfw").write_text(WORLD)
    assert open_image(tmp_path / "a.tif").transform == pytest.approx((2, 0, 7, 0, -3, 9))


def _auxiliary(path, *values):
    bands = "".join(
        f'<PAMRasterBand band="{i}"><NoDataValue>{v}</NoDataValue></PAMRasterBand>' for i, v in enumerate(values, 1)
    )
    path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "tagged.tif"])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_nodata_value_of_an_auxiliary_file_is_that_of_gdal(tmp_path, name):
    rasterio = pytest.importorskip("rasterio")
    if name == "tagged.tif":
        tags = [(42113, 2, 2, "5", True)]
        tifffile.imwrite(tmp_path / name, PIXELS, metadata=None, extratags=tags)
    else:
        picture(tmp_path / name)
    before = open_image(tmp_path / name).identity
    _auxiliary(tmp_path / name, "7")
    with rasterio.open(tmp_path / name) as read:
        assert open_image(tmp_path / name).nodata == read.nodata == 7
    assert open_image(tmp_path / name).identity != before


@pytest.mark.parametrize("values", [(), ("",), ("x",), ("1", "2")])
def test_no_single_nodata_value_is_none(tmp_path, values):
    assert open_image(_auxiliary(picture(tmp_path / "a.png"), *values)).nodata is None


def test_nodata_may_be_no_number(tmp_path):
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, PIXELS.astype("float32"), metadata=None)
    assert np.isnan(open_image(_auxiliary(path, "nan", "nan")).nodata)
