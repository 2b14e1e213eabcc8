"""Masks out: label images and tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.errors import LabelsError
from napari_sam.io.geo.geotiff import MapPosition
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.object_tables import object_table, overlay, render_labels, write_labels


@pytest.fixture(scope="module")
def two(default_predictor, nuclei):
    default_predictor.set_image(nuclei[0])
    return default_predictor.predict_many([{"points": [(121, 182)]}, {"points": [(299, 269)]}])


def test_objects_are_numbered_and_the_earlier_stays_on_top(two):
    shifted = dataclasses.replace(two[0], bbox=tuple(v + 2 for v in two[0].bbox))
    labels, origin = render_labels([two[0], shifted], (512, 640))
    assert origin == (0, 0)
    assert (labels == 1).sum() == two[0].mask.sum()
    assert 0 < (labels == 2).sum() < two[0].mask.sum()


def test_a_crop_knows_where_it_lies(two, tmp_path):
    whole, _ = render_labels(two, (512, 640))
    crop, (y, x) = render_labels(two, (512, 640), crop=True)
    np.testing.assert_array_equal(crop, whole[y : y + crop.shape[0], x : x + crop.shape[1]])
    write_labels(tmp_path / "c.tif", crop, (y, x))
    with tifffile.TiffFile(tmp_path / "c.tif") as tiff:
        assert tiff.shaped_metadata[0]["origin_yx"] == [y, x]


@pytest.mark.parametrize("crs", ["EPSG:32632", None])
def test_masks_of_an_image_on_the_map_lie_there(two, tmp_path, crs):
    rasterio = pytest.importorskip("rasterio")
    turned = rasterio.Affine.translation(5e5, 5e6) @ rasterio.Affine.rotation(20) @ rasterio.Affine.scale(2, -3)
    crop, (y, x) = render_labels(two, (512, 640), crop=True)
    write_labels(tmp_path / "m.tif", crop, (y, x), MapPosition(crs, tuple(turned)[:6]))
    with rasterio.open(tmp_path / "m.tif") as read:
        np.testing.assert_allclose(tuple(read.transform), tuple(turned @ rasterio.Affine.translation(x, y)))
    assert open_image(tmp_path / "m.tif").crs == crs


def test_what_is_written_reads_back(two, tmp_path):
    labels, _ = render_labels(two, (512, 640))
    write_labels(tmp_path / "l.tif", labels)
    write_labels(tmp_path / "l.png", labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "l.tif"), labels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "l.png")), labels)


@pytest.mark.parametrize(("name", "words"), [("l.gif", ".gif"), ("no/where.tif", "does not exist")])
def test_a_bad_output_is_named(tmp_path, name, words):
    with pytest.raises(LabelsError, match=words):
        write_labels(tmp_path / name, np.zeros((2, 2), np.uint32))


def test_too_many_objects_for_a_png_are_refused(tmp_path):
    with pytest.raises(LabelsError, match="70000"):
        write_labels(tmp_path / "l.png", np.full((2, 2), 70_000, np.uint32))


def test_an_image_too_large_to_render_says_how(two):
    with pytest.raises(LabelsError, match=r"100000.*too large; use crop=True"):
        render_labels(two, (100_000, 100_000))


def test_the_table_has_a_row_per_object(two):
    table = object_table(two)
    assert table["label"].tolist() == [1, 2]
    assert table["area_px"].tolist() == [int(p.mask.sum()) for p in two]
    assert table["predicted_iou"].between(0, 1.1).all()


def test_the_overlay_marks_objects_only(nuclei):
    rgb = np.repeat(nuclei[0][..., None], 3, 2)
    labels = (nuclei[1] == 8).astype(int)
    changed = (np.abs(overlay(rgb, labels).astype(int) - rgb) > 2).any(-1)
    assert changed[labels > 0].mean() > 0.9
    assert not changed[:100, :100].any()
