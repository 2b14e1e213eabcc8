"""Small holes are filled and small parts removed, but nothing that may go on beyond the tile."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.automatic.small_parts import without_small_parts


def square(side=20, shape=(40, 60), at=(10, 10), number=1):
    labels = np.zeros(shape, np.int32)
    labels[at[0] : at[0] + side, at[1] : at[1] + side] = number
    return labels


def test_small_holes_are_filled_and_large_ones_stay():
    labels = square()
    labels[12:14, 12:14] = 0
    labels[16:26, 16:26] = 0
    expected = square()
    expected[16:26, 16:26] = 0
    np.testing.assert_array_equal(without_small_parts(labels, 50), expected)


def test_specks_are_removed_and_the_largest_part_stays_however_small():
    labels = square(side=4)
    labels[30, 40:43] = 1
    np.testing.assert_array_equal(without_small_parts(labels, 50), square(side=4))


def test_the_background_beside_a_small_ring_is_no_hole():
    labels = square(side=20)
    labels[11:29, 11:29] = 0
    labels[10, 10] = 0
    np.testing.assert_array_equal(without_small_parts(labels, 90), labels)


def test_parts_and_gaps_at_the_border_of_a_tile_stay():
    labels = square()
    labels[0, 0:3] = 1  # may be the end of something larger
    labels[38:40, 20:26] = 1
    labels[39, 22:24] = 0
    np.testing.assert_array_equal(without_small_parts(labels, 50), labels)


def test_an_object_in_the_hole_of_another_keeps_its_pixels():
    labels = square()
    labels[15:20, 15:20] = 0
    labels[16:19, 16:19] = 2
    out = without_small_parts(labels, 50)
    np.testing.assert_array_equal(out == 2, labels == 2)
    assert (out[15:20, 15:20] > 0).all()
