"""Polygons across the antimeridian and around a pole."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_sam.io.geo.antimeridian import crosses_antimeridian, split_at_antimeridian


def shapes(polygon):
    return [
        shapely.Polygon(rings[0], rings[1:]) for rings in split_at_antimeridian([np.array(r, float) for r in polygon])
    ]


def test_a_polygon_across_the_antimeridian_has_two_parts():
    ring = [(179, 10), (-178, 10), (-178, 11), (179, 11)]
    assert crosses_antimeridian(np.array(ring, float))
    west, east = shapes([ring])
    assert (west.bounds, east.bounds) == ((-180, 10, -178, 11), (179, 10, 180, 11))


def test_a_ring_beside_it_or_going_on_beyond_180_degrees_is_not_cut():
    assert not crosses_antimeridian(np.array([(179, 10), (179.5, 10), (179.5, 11)], float))
    assert not crosses_antimeridian(np.array([(179, 10), (181, 10), (181, 11)], float))


@pytest.mark.parametrize("hole", [[(179.5, 10.4), (-179.5, 10.4), (-179.5, 10.6), (179.5, 10.6)]])
def test_holes_are_cut_too(hole):
    parts = shapes([[(179, 10), (-179, 10), (-179, 11), (179, 11)], hole])
    assert sum(part.area for part in parts) == pytest.approx(2 - 0.2)
    assert not any(part.contains(shapely.Point(x, 10.5)) for part in parts for x in (179.9, -179.9))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_polygon_around_a_pole_reaches_to_it(sign):
    ring = [(longitude, sign * 80.0) for longitude in (0, 90, 180, -90)]
    (part,) = shapes([ring])
    assert part.bounds == (-180, *sorted((sign * 80, sign * 90))[:1], 180, *sorted((sign * 80, sign * 90))[1:])
    assert part.area == pytest.approx(3600)
