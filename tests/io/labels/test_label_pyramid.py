"""The label image on disk: levels, blocks, NGFF metadata, other readers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.io.labels.label_layout import level_shapes
from napari_sam.io.labels.label_pyramid import blocks
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square


def test_levels_end_below_1024_pixels():
    assert level_shapes((3000, 2500)) == [(3000, 2500), (1500, 1250), (750, 625)]
    assert level_shapes((2, 100_001, 7))[-1] == (2, 782, 1)


def test_blocks_cover_a_box_once():
    cover = np.zeros((9000, 4100), np.uint8)
    for y0, x0, y1, x1 in blocks((3, 4090, 9000, 4100)):
        cover[y0:y1, x0:x1] += 1
    assert cover[3:, 4090:].all()
    assert cover.max() == 1
    assert cover.sum() == 8997 * 10


def test_a_store_inside_an_ome_zarr_image_is_registered_there(tmp_path):
    image = tmp_path / "image.ome.zarr"
    image.mkdir()
    (image / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    LabelStore.create(image / "labels" / "nuclei", shape=(64, 64)).close()
    group = json.loads((image / "labels" / "zarr.json").read_text())
    assert group["attributes"]["ome"] == {"version": "0.5", "labels": ["nuclei"]}


def test_zarr_python_reads_the_same_pixels(labels):
    import zarr

    labels.commit(predicted(square(300), (1900, 1900)))
    group = zarr.open(labels.path, mode="r")
    np.testing.assert_array_equal(group["0"][...], labels.array[...])
    assert group.attrs["ome"]["version"] == "0.5"


@pytest.mark.parametrize("shape", [(3000, 2500), (2, 3, 300, 200)])
def test_the_metadata_are_valid_ngff(tmp_path, shape):
    import zarr
    from ome_zarr_models.v05.image_label import ImageLabel

    LabelStore.create(tmp_path / "s", shape=shape, scale=(0.5, 0.25)).close()
    label = ImageLabel.from_zarr(zarr.open_group(tmp_path / "s", mode="r"))
    (multiscale,) = label.attributes.ome.multiscales
    assert multiscale.datasets[0].coordinateTransformations[0].scale[-2:] == [0.5, 0.25]
    assert len(multiscale.datasets) == (3 if len(shape) == 2 else 1)


def test_beyond_the_border_is_an_index_error_that_names_the_shape(labels):
    with pytest.raises(IndexError, match=r"\(3000, 2500\)"):
        labels.array[30000:30300, 0:9]
