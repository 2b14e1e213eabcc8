"""The map position of a TIFF, written and read back."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_sam.io.geotiff import make_geo_tags, read_geo_tags

NORTH_UP = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
ROTATED = (0.3, 0.4, 500_000.0, 0.4, -0.3, 5_200_000.0)
DEGREES = (0.001, 0.0, 10.0, 0.0, -0.001, 50.0)


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
@pytest.mark.parametrize("crs", ["EPSG:32632", "My own grid", None])
def test_tags_that_were_written_are_read_back(tmp_path, crs, transform):
    tags = make_geo_tags(crs, transform, (9, 9))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=tags)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        found_crs, found = read_geo_tags(file.pages.first)
    assert (found_crs or "").rstrip("|") == (crs or "")
    assert found == pytest.approx(transform)


def test_a_geographic_crs_has_a_key_of_its_own():
    directories = [make_geo_tags(c, t, (9, 9))[-1][3] for c, t in (("EPSG:4326", DEGREES), ("EPSG:32632", NORTH_UP))]
    assert [directory[-4] for directory in directories] == [2048, 3072]


def test_broken_tags_do_not_prevent_reading():
    page = SimpleNamespace(geotiff_tags={"ModelPixelScale": ("a", "b"), "ModelTiepoint": (0, 0, 0)})
    assert read_geo_tags(page) == (None, None)
