"""The outline lies on the object under review."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.review_queue import ReviewItem
from napari_sam.layers.review_outline import OUTLINE_NAME, ReviewOutline, outline_mask


def test_the_mask_has_a_rim_of_background(store):
    store.paint(np.full((6, 8), 1), (10, 20))
    mask, origin, factor = outline_mask(store, ReviewItem.of_object(store, 1))
    assert (origin, factor) == ((8, 18), 1)
    assert mask[2:8, 2:10].all()
    assert mask.sum() == 48


def test_an_object_at_the_border_keeps_its_rim(store):
    store.paint(np.full((5, 5), 1), (0, 0))
    mask, origin, _ = outline_mask(store, ReviewItem.of_object(store, 1))
    assert origin == (-2, -2)
    assert mask.shape == (9, 9)


def test_a_large_object_is_outlined_at_a_coarser_level(tmp_path):
    with LabelStore.create(tmp_path / "l.ome.zarr", shape=(4096, 4096)) as store:
        store.paint(np.full((3000, 3000), 1), (500, 500))
        mask, _, factor = outline_mask(store, ReviewItem.of_object(store, 1))
    assert factor == 4
    assert max(mask.shape) < 1100
    assert mask.sum() == pytest.approx((3000 / 4) ** 2, rel=0.01)


def test_the_outline_lies_on_the_object(viewer, store):
    image = viewer.add_image(np.zeros((40, 50)), scale=(0.5, 2), translate=(3, 4))
    store.paint(np.full((6, 8), 1), (10, 20))
    outline = ReviewOutline.create(viewer, image)
    outline.show(store, ReviewItem.of_object(store, 1))
    assert outline.layer.name == OUTLINE_NAME
    assert not outline.layer.editable
    np.testing.assert_allclose(outline.layer.data_to_world((2, 2)), image.data_to_world((10, 20)))
