"""The temporary layer of a run lies on the image and shows the tiles that were found."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.layers.partial_results import LARGEST_PX, PartialFrame, PartialLayer


def test_a_small_region_is_shown_pixel_by_pixel():
    labels = np.arange(1, 17, dtype=np.uint32).reshape(4, 4)
    tile = PartialFrame.of((0, 0, 100, 100)).sample((10, 20, 14, 24), labels)
    assert (tile.rows, tile.cols) == (slice(10, 14), slice(20, 24))
    np.testing.assert_array_equal(tile.colours, labels)


def test_a_large_region_is_subsampled():
    frame = PartialFrame.of((0, 0, 10_000, 10_000))
    assert max(frame.shape) <= LARGEST_PX
    labels = np.full((100, 100), 3, np.uint32)
    assert frame.sample((0, 0, 100, 100), labels).colours.shape == (25, 25)


@pytest.mark.parametrize("box", [(200, 0, 210, 10), (0, 0, 10, 10)])
def test_tiles_without_a_pixel_of_the_layer_are_left_out(box):
    assert PartialFrame.of((50, 50, 60, 60)).sample(box, np.ones((10, 10), np.uint32)) is None


def test_ids_beyond_8_bits_stay_visible():
    labels = np.array([[255, 256, 508, 509]], np.uint32)
    colours = PartialFrame.of((0, 0, 1, 4)).sample((0, 0, 1, 4), labels).colours
    assert colours.all()


def test_the_layer_lies_on_the_image_below_the_other_layers(viewer):
    image = viewer.add_image(np.zeros((40, 50)), scale=(2, 3), translate=(5, 7))
    other = viewer.add_points(ndim=2)
    partial = PartialLayer(viewer, image, PartialFrame.of((10, 20, 40, 50)), ())
    assert list(viewer.layers) == [image, partial.layer, other]
    assert viewer.layers.selection.active is other
    np.testing.assert_allclose(partial.layer.data_to_world((0, 0)), image.data_to_world((10, 20)))


def test_tiles_are_put_on_the_layer(viewer):
    image = viewer.add_image(np.zeros((3, 40, 50)))
    frame = PartialFrame.of((0, 0, 40, 50))
    partial = PartialLayer(viewer, image, frame, (1,))
    partial.put(frame.sample((5, 5, 7, 7), np.ones((2, 2), np.uint32)))
    partial.refresh()
    assert partial.layer.data.shape == (1, 40, 50)
    assert partial.layer.data[0, 5:7, 5:7].all()
