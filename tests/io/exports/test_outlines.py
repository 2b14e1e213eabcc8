"""Outlines of pixels: hand-worked drawings, and any mask."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_sam.io.exports.outlines import trace_outlines
from napari_sam.io.pixel_runs import PixelRuns, runs_by_label
from tests.io.exports.drawings import area, drawn, filled, polygons_of


def outline(rows):
    """Polygons of the ones in a drawing."""
    return polygons_of(drawn(rows))


def test_one_pixel_is_a_square():
    assert outline("000 010") == [[[(2, 1), (2, 2), (1, 2), (1, 1)]]]


def test_a_square_has_four_corners():
    assert outline("0000 0110 0110") == [[[(3, 1), (3, 3), (1, 3), (1, 1)]]]


def test_an_l_has_six_corners():
    assert outline("10 10 11") == [[[(1, 0), (1, 2), (2, 2), (2, 3), (0, 3), (0, 0)]]]


def test_a_hole_runs_the_other_way_round():
    ((outer, hole),) = outline("1111 1011 1111")
    assert outer == [(4, 0), (4, 3), (0, 3), (0, 0)]
    assert sorted(hole) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (area(outer), area(hole)) == (12, -1)


def test_two_pieces_are_two_polygons():
    assert [[area(r) for r in p] for p in outline("11011 11000")] == [[4], [2]]


def test_pieces_that_touch_at_a_corner_are_apart():
    assert [[area(r) for r in p] for p in outline("1100 1100 0011")] == [[4], [2]]


def test_a_hole_that_touches_the_outside_at_a_corner_stays_a_hole():
    ((outer, hole),) = outline("0111 1101 1111")
    assert (area(outer), area(hole)) == (11, -1)
    assert len(set(outer)) == len(outer) == 6


@settings(max_examples=300)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_outlines_of_any_pixels_are_simple_and_fill_exactly_them(mask):
    polygons = polygons_of(mask)
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)
    assert len(polygons) == ndimage.label(mask)[1]  # pieces joined by edges
    assert sum(area(ring) for polygon in polygons for ring in polygon) == mask.sum()
    for polygon in polygons:
        assert [area(ring) > 0 for ring in polygon] == [True] + [False] * (len(polygon) - 1)
        for ring in polygon:
            assert len(set(ring)) == len(ring)
            turns = zip(ring, ring[1:] + ring[:1], ring[2:] + ring[:2], strict=True)
            assert all((a[0] == b[0]) != (b[0] == c[0]) for a, b, c in turns)


MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))


@given(st.lists(st.tuples(MASKS, st.integers(0, 1000), st.integers(0, 1000)), max_size=6))
def test_many_objects_at_once_have_the_outlines_of_each(objects):
    runs = [runs_by_label(mask.astype(np.uint32), (y, x))[2] for mask, y, x in objects]
    together = trace_outlines(runs).lists()
    assert together == [trace_outlines([one]).lists()[0] for one in runs]
    for (mask, y, x), polygons in zip(objects, together, strict=True):
        moved = [[[(cx - x, cy - y) for cx, cy in ring] for ring in polygon] for polygon in polygons]
        np.testing.assert_array_equal(filled(moved, mask.shape), mask)


def test_closed_rings_repeat_their_first_corner():
    empty, square = PixelRuns(*np.zeros((3, 0), np.int64)), PixelRuns(*np.array([[5], [7], [9]]))
    assert trace_outlines([empty, square]).lists(closed=True) == [[], [[[(9, 5), (9, 6), (7, 6), (7, 5), (9, 5)]]]]
