"""Objects of labels as prompts."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.prompts.formats.label_prompts import object_boxes
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import SHAPE, keywords


@pytest.fixture
def drawn():
    labels = np.zeros(SHAPE, np.uint16)
    labels[10:20, 30:50] = 9
    labels[50:60, 30:50] = 4
    labels[55, 60] = 4
    return labels


def test_a_label_image_gives_boxes_and_masks(drawn, image):
    table = read_prompts(drawn, image, masks=True)
    assert keywords(table) == [{"box": [50, 30, 60, 61]}, {"box": [10, 30, 20, 50]}]
    assert table.number.tolist() == [4, 9]
    assert table.keywords(0)["mask"].mask.sum() == 201


@pytest.mark.parametrize("block_px", [7, 55, 2048])
def test_boxes_of_objects_do_not_depend_on_the_blocks(drawn, block_px):
    assert object_boxes(open_image(drawn), block_px) == {4: (50, 30, 60, 61), 9: (10, 30, 20, 50)}


def test_a_label_store_gives_boxes_and_categories(drawn, image, tmp_path):
    with LabelStore.create(tmp_path / "l.ome.zarr", shape=SHAPE) as store:
        store.paint(drawn, (0, 0))
        store.set_category(9, "cell")
        assert len(read_prompts(store, image)) == 2
    table = read_prompts(str(tmp_path / "l.ome.zarr"), image, masks=True)
    assert table.category == [None, "cell"]
    assert table.keywords(1)["mask"].mask.all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_a_mask_of_a_label_file_changes_no_label(drawn, image, tmp_path, dtype):
    tifffile.imwrite(tmp_path / "l.tif", drawn.astype(dtype))
    before = keywords(read_prompts(str(tmp_path / "l.tif"), image))
    tifffile.imwrite(
        tmp_path / "l.tif.msk", np.where(np.arange(SHAPE[1]) < 20, 0, 255).astype(np.uint8) * np.ones(SHAPE, np.uint8)
    )
    assert keywords(read_prompts(str(tmp_path / "l.tif"), image)) == before


def test_a_negative_label_is_refused(drawn, image):
    labels = drawn.astype(np.int32)
    labels[drawn == 0] = -1
    with pytest.raises(PromptError, match="label -1 is negative"):
        read_prompts(labels, image)


def test_an_object_on_several_planes_gives_the_box_and_mask_of_the_images_plane(tmp_path):
    image = open_image(np.zeros((6, *SHAPE), np.uint8), axes="zyx")
    with LabelStore.create(tmp_path / "l.ome.zarr", like=image, stack=True) as store:
        store.commit_planes({z: (np.ones((z, 4), bool), (5, 6, 5 + z, 10), z / 10) for z in (2, 5)})
        table = read_prompts(store, image.with_plane((5,), image.selected), masks=True)
    assert keywords(table) == [{"box": [5, 6, 10, 10]}]
    assert table.keywords(0)["mask"].mask.sum() == 20
    assert table.score.tolist() == [0.5]
