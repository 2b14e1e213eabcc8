"""PNG and OME-Zarr."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore


def test_zarr_is_the_same_picture_without_the_journal(store, blobs, tmp_path):
    out = store.export(tmp_path / "copy.zarr")
    image = open_image(out)
    assert image.levels == [(1500, 1300), (750, 650)]
    np.testing.assert_array_equal(image.read(1, 0, 0, 750, 650)[..., 0], blobs[::2, ::2])
    assert sorted(p.name for p in out.iterdir()) == ["0", "1", "zarr.json"]
    with pytest.raises(LabelsError, match="exists already"):
        store.export(out)


def test_an_unfinished_zarr_is_not_listed_among_an_images_labels(small, tmp_path):
    (tmp_path / "i.zarr" / "labels").mkdir(parents=True)
    (tmp_path / "i.zarr" / "zarr.json").write_text("{}")
    small.export(tmp_path / "i.zarr" / "labels" / "copy.zarr")
    assert [p.name for p in (tmp_path / "i.zarr" / "labels").iterdir()] == ["copy.zarr"]


def test_png_holds_16_bits(small, tmp_path):
    small.relabel(2, 65_535)
    image = open_image(small.export(tmp_path / "l.png"))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image.read(0, 0, 0, 6, 8)[..., 0], small.array[...])
    small.relabel(65_535, 65_536)
    with pytest.raises(LabelsError, match=r"id 65536 does not fit.*\.tif"):
        small.export(tmp_path / "l.png")


def test_png_of_a_large_image_names_the_alternatives(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(9000, 9000)) as labels:
        with pytest.raises(LabelsError, match=r"9000 x 9000 pixels.*\.tif or \.zarr"):
            labels.export(tmp_path / "l.png")
