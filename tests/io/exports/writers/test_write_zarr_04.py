"""OME-Zarr 0.4, read back by zarr-python, validated by ome-zarr-models."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_sam.errors import LabelsError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore


def test_all_levels_are_zarr_2_with_the_same_labels(store, blobs, tmp_path):
    out = store.export(tmp_path / "copy.zarr", format="ome-zarr-0.4")
    group = zarr.open_group(out, mode="r")
    assert group.metadata.zarr_format == 2
    for k in (0, 1):
        np.testing.assert_array_equal(group[str(k)][...], blobs[:: 2**k, :: 2**k])
    image = open_image(out)
    assert image.levels == [(1500, 1300), (750, 650)]
    assert image.scale == (0.25, 0.5)


def test_ome_zarr_models_accepts_it_as_a_label_image(store, tmp_path):
    models = pytest.importorskip("ome_zarr_models.v04.image_label")
    store.set_category(2, "nucleus")
    out = store.export(tmp_path / "copy.zarr", format="ome-zarr-0.4")
    # Its class of the whole group fails with pydantic 2.14, so that the attributes are validated by themselves.
    attributes = models.ImageLabelAttrs.model_validate(zarr.open_group(out, mode="r").attrs.asdict())
    (multiscale,) = attributes.multiscales
    assert (multiscale.version, len(multiscale.datasets)) == ("0.4", 2)
    assert multiscale.datasets[1].coordinateTransformations[0].scale == [0.5, 1.0]
    described = attributes.image_label
    assert {(p.label_value, p.category) for p in described.properties} == {(1, "cell"), (2, "nucleus")}
    assert [c.label_value for c in described.colors] == [1, 2]


def test_a_stack_keeps_axes_units_and_planes(tmp_path):
    source = Image([np.zeros((3, 90, 80), np.uint8)], "zyx", "x", (0,), plane=(0,))
    source.place({"z": AxisPlacement(2, 1, "micrometer"), **dict.fromkeys("yx", AxisPlacement(0.5, 0, "micrometer"))})
    with LabelStore.create(tmp_path / "s.zarr", like=source, shape=(3, 90, 80)) as stack:
        stack.paint(np.full((4, 5), 7), (10, 20), plane=(2,))
        image = open_image(stack.export(tmp_path / "o.zarr", format="ome-zarr-0.4"))
    assert [image.placement(axis) for axis in "zyx"] == [source.placement(axis) for axis in "zyx"]
    assert image.with_plane((2,), (0,)).read(0, 12, 22, 13, 23).item() == 7


def test_objects_can_be_chosen_and_a_folder_that_exists_is_kept(store, blobs, tmp_path):
    out = store.export(tmp_path / "o.zarr", format="ome-zarr-0.4", labels=[3])
    np.testing.assert_array_equal(zarr.open_group(out, mode="r")["0"][...], np.where(blobs == 3, 3, 0))
    with pytest.raises(LabelsError, match="exists already"):
        store.export(out, format="ome-zarr-0.4")


def test_it_can_be_imported_again(store, tmp_path):
    out = store.export(tmp_path / "o.zarr", format="ome-zarr-0.4", labels=[1, 2, 3])
    with LabelStore.create(tmp_path / "again.zarr", shape=store.shape) as again:
        assert len(again.import_(out)) == 3
        assert again.table()["category"].tolist()[0] == "cell"
