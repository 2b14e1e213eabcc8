"""Placement of label images: that of their image."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from napari_sam.errors import StoreError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.images.transcode import transcode
from napari_sam.io.labels.label_layout import LabelLayout
from napari_sam.io.labels.label_store import LabelStore

AXES = [
    ("t", "time", "second"),
    ("z", "space", "micrometer"),
    ("y", "space", "micrometer"),
    ("x", "space", "nanometer"),
]
INNER = [{"type": "scale", "scale": [10, 2, 0.5, 500]}, {"type": "translation", "translation": [1, 10, 100, 200]}]
OUTER = [{"type": "scale", "scale": [1, 1, 2, 2]}, {"type": "translation", "translation": [0, 0, 5, 0]}]


@pytest.fixture
def image(tmp_path):
    """An OME-Zarr whose transformations are given for the level and for all levels."""
    group = zarr.open_group(tmp_path / "i.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=(2, 3, 90, 80), dtype="u1")
    axes = [dict(zip(("name", "type", "unit"), axis, strict=True)) for axis in AXES]
    datasets = [{"path": "0", "coordinateTransformations": INNER}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": datasets, "coordinateTransformations": OUTER}
    ]
    return open_image(tmp_path / "i.zarr")


def multiscale(path):
    return json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]


def test_a_store_and_its_export_lie_where_the_image_lies(tmp_path, image):
    assert (image.scale, image.translation, image.unit) == ((1000, 1000), (205_000, 400), "nanometer")
    with LabelStore.create(tmp_path / "s.zarr", like=image, shape=(2, 3, 90, 80)) as store:
        store.paint(np.ones((9, 9), np.uint32), (0, 0), plane=(0, 0))
        store.export(tmp_path / "o.zarr")
    for name in ("s.zarr", "o.zarr"):
        found = multiscale(tmp_path / name)
        assert [axis.get("unit") for axis in found["axes"]] == ["second", "nanometer", "nanometer", "nanometer"]
        assert [axis["name"] for axis in found["axes"]] == list("tzyx")
        assert found["datasets"][0]["coordinateTransformations"] == [
            {"type": "scale", "scale": [10, 2000, 1000, 1000]},
            {"type": "translation", "translation": [1, 10_000, 205_000, 400]},
        ]


def test_a_repaired_store_lies_where_it_lay(tmp_path, image):
    LabelStore.create(tmp_path / "s.zarr", like=image).close()
    before = multiscale(tmp_path / "s.zarr")
    LabelStore.repair(tmp_path / "s.zarr").close()
    assert multiscale(tmp_path / "s.zarr") == before


def test_coarser_levels_begin_at_the_same_pixel(tmp_path, image):
    LabelStore.create(tmp_path / "s.zarr", like=image, shape=(3000, 90)).close()
    transformations = [d["coordinateTransformations"] for d in multiscale(tmp_path / "s.zarr")["datasets"]]
    assert [t[0]["scale"][0] for t in transformations] == [1000, 2000, 4000]
    assert [t[1]["translation"] for t in transformations] == [[205_000, 400]] * 3


def test_a_journal_of_version_0_1_has_the_pixel_size_only():
    facts = {"shape": [3, 9, 9], "axes": "zyx", "scale": [0.5, 0.25], "unit": "micrometer"}
    layout = LabelLayout.from_meta(facts.get)
    assert [(p.scale, p.unit) for p in layout.placements] == [(1, None), (0.5, "micrometer"), (0.25, "micrometer")]


@pytest.mark.parametrize("shape", [(600, 700), (2600, 1300)])
def test_labels_inside_an_image_have_as_many_levels_and_are_listed(tmp_path, shape):
    from ome_zarr_models.v05.image import Image

    image = transcode(np.zeros(shape, np.uint8), tmp_path / "i.ome.zarr")
    path = tmp_path / "i.ome.zarr" / "labels" / "cells"
    with LabelStore.create(path, like=image) as store:
        store.paint(np.ones((4, 5), int), (8, 8))
        assert len(store.levels) == len(image.levels)
    with LabelStore.repair(path) as store:
        assert len(store.levels) == len(image.levels)
        assert store.array[9, 9] == 1
    labels = Image.from_zarr(zarr.open_group(tmp_path / "i.ome.zarr", mode="r")).labels
    assert labels is not None
    assert labels.label_paths == ["cells"]
    assert labels.get_image_labels_group("cells").attributes.ome.image_label is not None


def test_labels_inside_an_image_of_version_0_4_are_refused(tmp_path):
    transcode(np.zeros((60, 70), np.uint8), tmp_path / "i.ome.zarr", ngff="0.4")
    with pytest.raises(StoreError, match=r"is an OME-Zarr 0\.4 image.*write them beside the image"):
        LabelStore.create(tmp_path / "i.ome.zarr" / "labels" / "cells", shape=(60, 70))
    assert not (tmp_path / "i.ome.zarr" / "labels" / "cells").exists()
