"""Areas on the ground, against geodesics of PROJ."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest

from napari_sam.io.geo.ground_area import GeodesicArea, PlanarArea, ground_area
from napari_sam.io.geo.map_coordinates import to_map
from napari_sam.io.pixel_runs import PixelRuns

SHAPE = (1000, 1000)


def square(y0, x0, y1, x1):
    return PixelRuns(np.arange(y0, y1), np.full(y1 - y0, x0), np.full(y1 - y0, x1))


def geodesic_area(crs, transform, box, per_side=400):
    """The area of a box of pixels whose sides are followed closely."""
    y0, x0, y1, x1 = box
    t = np.linspace(0, 1, per_side)
    x = np.concatenate([x0 + (x1 - x0) * t, np.full(per_side, x1), x1 - (x1 - x0) * t, np.full(per_side, x0)])
    y = np.concatenate([np.full(per_side, y0), y0 + (y1 - y0) * t, np.full(per_side, y1), y1 - (y1 - y0) * t])
    known = pyproj.CRS(crs)
    to_degrees = pyproj.Transformer.from_crs(known, known.geodetic_crs, always_xy=True)
    return abs(known.get_geod().polygon_area_perimeter(*to_degrees.transform(*to_map(transform, x, y)))[0])


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", (0.001, 0.0, 10.0, 0.0, -0.001, 50.0)),
        ("EPSG:4326", (0.001, 0.0, 179.5, 0.0, -0.001, 50.0)),  # across the antimeridian
        ("EPSG:4326", (0.04, 0.0, 10.0, 0.0, -0.04, 60.0)),  # an object from 32 to 48 degrees
        ("EPSG:4326", (1e-6, 0.0, 10.0, 0.0, -1e-6, 50.0)),
        ("EPSG:4258", (0.001, 0.0003, 10.0, 0.0002, -0.001, 50.0)),  # rotated
        ("EPSG:3857", (10.0, 0.0, 1e6, 0.0, -10.0, 6e6)),
        ("EPSG:3857", (0.1, 0.0, 1e6, 0.0, -0.1, 6e6)),
    ],
)
def test_degrees_and_stretched_maps_have_areas_on_the_ellipsoid(crs, transform):
    ground = ground_area(crs, transform, SHAPE)
    assert isinstance(ground, GeodesicArea)
    expected = geodesic_area(crs, transform, (300, 300, 700, 700))
    assert ground.object_area(square(300, 300, 700, 700)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("crs", "transform", "area", "side"),
    [
        ("EPSG:32632", (10.0, 0.0, 5e5, 0.0, -10.0, 6e6), 100, 10),
        ("EPSG:32632", (6.0, 8.0, 5e5, 8.0, -6.0, 6e6), 100, 10),
        ("EPSG:32632", (10.0, 0.0, 5e5, 0.0, -5.0, 6e6), 50, None),
        ("EPSG:2264", (3.0, 0.0, 1.4e6, 0.0, -3.0, 5e5), (3 * 1200 / 3937) ** 2, 3 * 1200 / 3937),  # US survey feet
    ],
)
def test_projections_that_keep_areas_have_those_of_their_plane(crs, transform, area, side):
    ground = ground_area(crs, transform, SHAPE)
    assert isinstance(ground, PlanarArea)
    assert ground.object_area(square(0, 0, 10, 10)) == pytest.approx(100 * area)
    assert ground.pixel_side == (None if side is None else pytest.approx(side))


def test_a_local_grid_in_metres_has_areas_and_an_unknown_one_has_none():
    transform = (2.0, 0.0, 0.0, 0.0, -2.0, 0.0)
    local = ground_area('LOCAL_CS["site",UNIT["foot",0.3048]]', transform, SHAPE)
    assert local is not None
    assert local.pixel_area == pytest.approx(4 * 0.3048**2)
    assert ground_area("My own grid", transform, SHAPE) is ground_area(None, transform, SHAPE) is None
    assert ground_area("EPSG:32632", None, SHAPE) is None
