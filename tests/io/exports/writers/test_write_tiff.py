"""TIFF and OME-TIFF: levels, compression and map position."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from tests.io.exports.drawings import DEGREES, ROTATED, UTM, on_map


@pytest.mark.parametrize("extension", [".tif", ".ome.tif"])
def test_tiff_is_tiled_compressed_and_has_the_levels(store, blobs, tmp_path, extension):
    out = store.export(tmp_path / f"l{extension}")
    with tifffile.TiffFile(out) as file:
        page = file.pages.first
        assert file.is_bigtiff
        assert (page.tile, page.dtype, page.compression.name) == ((512, 512), np.uint32, "ADOBE_DEFLATE")
        for k, level in enumerate(file.series[0].levels):
            np.testing.assert_array_equal(level.asarray(), blobs[:: 2**k, :: 2**k])
    image = open_image(out)
    assert image.levels == [(1500, 1300), (750, 650)]
    assert image.scale == ((0.25, 0.5) if extension == ".ome.tif" else (1.0, 1.0))


@pytest.mark.parametrize(
    ("crs", "transform"), [("EPSG:32632", UTM), ("EPSG:4326", DEGREES), ("EPSG:32632", ROTATED), ("My own grid", UTM)]
)
def test_tiff_has_the_map_position_of_the_image(tmp_path, crs, transform):
    with on_map(tmp_path, crs, transform) as labels:
        image = open_image(labels.export(tmp_path / "o.tif"))
    assert image.crs.rstrip("|") == crs
    assert image.transform == pytest.approx(transform)
    assert image.read(0, 10, 20, 12, 22)[..., 0].tolist() == [[1, 1], [1, 0]]


def test_ome_tiff_has_sizes_along_all_axes(tmp_path):
    source = Image([np.zeros((2, 3, 90, 80), np.uint8)], "tzyx", "x", (0,), plane=(0, 0))
    lengths = {a: AxisPlacement(n, 0, u) for a, n, u in (("y", 0.5, "micrometer"), ("x", 0.25, "micrometer"))}
    source.place({**lengths, "z": AxisPlacement(2, 0, "micrometer"), "t": AxisPlacement(3, 0, "minute")})
    with LabelStore.create(tmp_path / "s.zarr", like=source, shape=(2, 3, 90, 80)) as store:
        image = open_image(store.export(tmp_path / "o.ome.tif"))
    assert [image.placement(axis) for axis in "tzyx"] == [source.placement(axis) for axis in "tzyx"]
