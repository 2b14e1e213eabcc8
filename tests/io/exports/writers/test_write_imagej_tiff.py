"""The 16-bit TIFF for ImageJ: classic, uncompressed, with pixel size."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import LabelsError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore


def test_imagej_opens_it_without_a_plugin(store, blobs, tmp_path):
    out = store.export(tmp_path / "o.tif", format="imagej-tiff")
    with tifffile.TiffFile(out) as file:
        page = file.pages.first
        assert (file.is_imagej, file.is_bigtiff, page.is_contiguous, page.dtype) == (True, False, True, np.uint16)
    np.testing.assert_array_equal(tifffile.imread(out), blobs)


def test_a_stack_has_its_axes_and_distances(tmp_path):
    source = Image([np.zeros((2, 3, 40, 50), np.uint8)], "tzyx", "x", (0,), plane=(0, 0))
    um = {axis: AxisPlacement(size, 0, "micrometer") for axis, size in (("z", 2), ("y", 0.5), ("x", 0.25))}
    source.place({**um, "t": AxisPlacement(3, 0, "second")})
    with LabelStore.create(tmp_path / "s.zarr", like=source, shape=(2, 3, 40, 50)) as store:
        store.paint(np.full((4, 5), 7, np.uint32), (10, 20), plane=(1, 2))
        out = store.export(tmp_path / "o.tif", format="imagej-tiff")
    image = open_image(out)
    assert (image.array_axes, image.scale, image.unit) == ("tzyx", (0.5, 0.25), "micrometer")
    assert [image.placement(axis).scale for axis in "tz"] == [3, 2]
    assert [tuple(p) for p in np.argwhere(tifffile.imread(out))[[0, -1]]] == [(1, 2, 10, 20), (1, 2, 13, 24)]


def test_ids_beyond_16_bits_and_large_images_are_refused(tmp_path):
    with LabelStore.create(tmp_path / "a.zarr", shape=(9, 9)) as store:
        store.paint(np.full((2, 2), 70_000), (0, 0))
        with pytest.raises(LabelsError, match="70000 does not fit 16 bits"):
            store.export(tmp_path / "o.tif", format="imagej-tiff")
    with LabelStore.create(tmp_path / "b.zarr", shape=(50_000, 50_000)) as store:
        with pytest.raises(LabelsError, match="too large for a classic TIFF"):
            store.export(tmp_path / "o.tif", format="imagej-tiff")
    assert not (tmp_path / "o.tif").exists()
