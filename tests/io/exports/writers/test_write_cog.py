"""Cloud-optimised GeoTIFF, read back by rasterio."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from tests.io.exports.drawings import UTM, like

rasterio = pytest.importorskip("rasterio")


@pytest.fixture
def mapped(tmp_path, blobs):
    with LabelStore.create(tmp_path / "cells.zarr", like=like("EPSG:32632", UTM)) as labels:
        labels.paint(blobs, (0, 0))
        yield labels


def test_gdal_recognises_the_layout_and_reads_the_labels_where_they_lie(mapped, blobs, tmp_path):
    out = mapped.export(tmp_path / "o.cog.tif")
    with rasterio.open(out) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1) == [2, 4]
        assert (file.crs.to_epsg(), tuple(file.transform)[:6]) == (32632, UTM)
        assert (file.dtypes, file.block_shapes) == (("uint32",), [(512, 512)])
        np.testing.assert_array_equal(file.read(1), blobs)
    with rasterio.open(out, overview_level=0) as coarse:
        assert set(np.unique(coarse.read(1))) <= set(np.unique(blobs))  # no mean of two labels
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cells.zarr", "o.cog.tif"]


def test_our_reader_opens_its_levels(mapped, blobs, tmp_path):
    image = open_image(mapped.export(tmp_path / "o.tif", format="cog", labels=[1, 2]))
    assert image.levels == [(1500, 1300), (750, 650), (375, 325)]
    expected = np.where(np.isin(blobs, [1, 2]), blobs, 0)
    np.testing.assert_array_equal(image.read(0, 0, 0, 1500, 1300)[..., 0], expected)


def test_an_image_without_a_map_can_be_written_too(small, tmp_path):
    out = small.export(tmp_path / "o.cog.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(out) as file:
            np.testing.assert_array_equal(file.read(1), small.array[...])


def test_a_stack_and_a_missing_library_are_named(small, tmp_path, monkeypatch):
    with LabelStore.create(tmp_path / "s.zarr", shape=(2, 6, 8)) as stack:
        with pytest.raises(LabelsError, match=r"axes zyx; write \.tif or \.zarr"):
            stack.export(tmp_path / "o.cog.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.setitem(sys.modules, "rasterio.shutil", None)
    with pytest.raises(LabelsError, match=r"needs rasterio.*napari-sam-xl\[cog\]"):
        small.export(tmp_path / "o.cog.tif")
    assert not (tmp_path / "o.cog.tif").exists()
