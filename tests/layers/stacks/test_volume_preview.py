"""An object on many planes as one array."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Labels

from napari_sam.layers.stacks import volume_preview
from napari_sam.layers.stacks.volume_preview import object_volume, show_volume


def test_masks_of_different_boxes_meet_in_one_array():
    square = np.ones((2, 2), bool)
    volume, origin, factor = object_volume({3: (square, (0, 0, 2, 2)), 5: (square, (4, 1, 6, 3))})
    assert (volume.shape, origin, factor) == ((3, 6, 3), (3, 0, 0), 1)
    assert volume.sum((1, 2)).tolist() == [4, 0, 4]
    assert volume[2, 4:, 1:].all()


def test_a_large_object_is_reduced_and_stays_in_place(monkeypatch, rng):
    masks = {
        plane: (rng.random((8 - y, 8 - x)) > 0.5, (y, x, 8, 8)) for plane, (y, x) in enumerate([(0, 0), (1, 3), (2, 2)])
    }
    whole, _, _ = object_volume(masks)
    monkeypatch.setattr(volume_preview, "_LARGEST_PX", 50)
    reduced, origin, factor = object_volume(masks)
    assert (origin, factor) == ((0, 0, 0), 2)
    np.testing.assert_array_equal(reduced, whole[:, ::2, ::2])


def test_the_layer_shows_all_planes_where_they_lie_in_the_image():
    image = Image(np.zeros((2, 9, 40, 50)), scale=(1, 4, 0.5, 0.5), translate=(0, 10, 0, 0))
    layer = Labels(np.zeros((1, 1, 1, 1), np.uint8))
    show_volume(layer, image, {4: (np.ones((3, 5), bool), (10, 20, 13, 25))}, (1, 6), 1)
    assert layer.data.shape == (1, 1, 3, 5)
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0, 0)), image.data_to_world((1, 4, 10, 20)))
