"""Outlines with right angles: buildings in any direction, and what is none."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.draw import disk, polygon2mask

from napari_sam.io.exports.polygons import simplify_polygons
from napari_sam.io.exports.regular_outlines import main_direction, regularise_polygons
from napari_sam.io.labels.label_store import LabelStore
from tests.io.exports.drawings import UTM, like, polygons_of

L_SHAPE = [(-30, -20), (30, -20), (30, 2), (0, 2), (0, 20), (-30, 20)]


def rotated(corners, degrees, centre=(60, 60)):
    """Corners (x, y), turned around the origin and moved."""
    a = math.radians(degrees)
    return np.array(corners) @ np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]) + centre


def outlines(mask):
    """Polygons along the edges of the pixels of a mask."""
    return polygons_of(mask)


def drawn_outline(corners):
    """Polygons of the pixels whose centres lie within corners (x, y)."""
    return outlines(polygon2mask((120, 120), corners[:, ::-1] - 0.5))


def angles_of(ring):
    """Angle of each corner, degrees."""
    p = np.array(ring)
    before, after = np.roll(p, 1, 0) - p, np.roll(p, -1, 0) - p
    cos = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    return np.degrees(np.arccos(cos))


@pytest.mark.parametrize("degrees", [0, 7, 20, 33, 45, 61, 88])
@pytest.mark.parametrize("corners", [[(-25, -14), (25, -14), (25, 14), (-25, 14)], L_SHAPE])
def test_a_building_gets_its_corners_back_in_any_direction(corners, degrees):
    truth = rotated(corners, degrees)
    ((ring,),) = regularise_polygons(drawn_outline(truth), 3.0)
    assert len(ring) == len(corners)
    assert np.allclose(angles_of(ring), 90)
    assert shapely.Polygon(ring).intersection(shapely.Polygon(truth)).area > 0.94 * shapely.Polygon(truth).area
    assert shapely.hausdorff_distance(shapely.Polygon(ring), shapely.Polygon(truth)) < 2.5
    error = (math.degrees(main_direction(ring)) - degrees + 45) % 90 - 45
    assert abs(error) < 3


def test_bumps_and_notches_along_a_wall_disappear():
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:70] = True
    mask[8:10, 20:24] = mask[30:33, 70:72] = True
    mask[48:50, 40:44] = False
    ((ring,),) = regularise_polygons(outlines(mask), 4.0)
    assert len(ring) == 4
    assert shapely.Polygon(ring).area == pytest.approx(2400, rel=0.03)


def test_a_courtyard_stays_a_hole_of_the_same_direction():
    outer, inner = (
        rotated([(-40, -30), (40, -30), (40, 30), (-40, 30)], 25),
        rotated([(-15, -10), (15, -10), (15, 10), (-15, 10)], 25),
    )
    mask = polygon2mask((120, 120), outer[:, ::-1] - 0.5) & ~polygon2mask((120, 120), inner[:, ::-1] - 0.5)
    ((wall, court),) = regularise_polygons(outlines(mask), 3.0)
    assert (len(wall), len(court)) == (4, 4)
    assert np.allclose([angles_of(wall), angles_of(court)], 90)
    assert shapely.Polygon(wall, [court]).area == pytest.approx(mask.sum(), rel=0.04)
    assert shapely.Polygon(wall).exterior.is_ccw
    assert not shapely.Polygon(court).exterior.is_ccw


def test_what_is_round_or_small_is_only_simplified():
    mask = np.zeros((80, 80), bool)
    mask[disk((40, 40), 30)] = True
    for exact in (outlines(mask), outlines(np.ones((1, 2), bool))):
        assert regularise_polygons(exact, 1.5) == simplify_polygons(exact, 1.5)


@settings(max_examples=150)
@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14)), st.sampled_from([0.5, 2, 5])
)
def test_outlines_of_any_pixels_are_valid_and_near(mask, tolerance):
    exact = outlines(mask)
    for before, after in zip(exact, regularise_polygons(exact, tolerance), strict=True):
        old, new = (shapely.Polygon(rings[0], rings[1:]) for rings in (before, after))
        assert new.is_valid
        assert len(new.interiors) == len(old.interiors)
        assert shapely.hausdorff_distance(new.boundary, old.boundary) <= 2 * tolerance


@pytest.mark.parametrize("name", ["b.gpkg", "b.geojson"])
def test_geopandas_reads_rectangles_of_buildings(tmp_path, name):
    geopandas = pytest.importorskip("geopandas")
    with LabelStore.create(tmp_path / "b.zarr", like=like("EPSG:32632", UTM, (120, 120))) as store:
        mask = polygon2mask((120, 120), rotated(L_SHAPE, 20)[:, ::-1] - 0.5)
        store.paint(mask.astype(np.uint32), (0, 0))
        path = store.export(tmp_path / name, regularise_px=3.0)
    frame = geopandas.read_file(path).to_crs("EPSG:32632")
    (shape,) = frame.explode().geometry
    assert shape.is_valid
    assert len(shape.exterior.coords) == 7
    assert np.allclose(angles_of(list(shape.exterior.coords)[:-1]), 90, atol=0.05)
    assert shape.area == pytest.approx(mask.sum() * 0.25, rel=0.05)


def test_the_file_says_that_outlines_were_regularised(small, tmp_path):
    head = json.loads(small.export(tmp_path / "o.geojson", regularise_px=2.0).read_text())["napari_sam"]
    assert head["regularised_px"] == 2.0
    assert "simplified_px" not in head
