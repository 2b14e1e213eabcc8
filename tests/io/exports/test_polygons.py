"""Fewer corners of outlines."""

from __future__ import annotations

import numpy as np
import shapely

from napari_sam.io.exports.polygons import simplify_polygons
from tests.io.exports.drawings import polygons_of


def test_simplified_outlines_stay_near_and_valid(blobs):
    for label in np.unique(blobs)[1:60]:
        exact = polygons_of(blobs == label)
        for before, after in zip(exact, simplify_polygons(exact, 1.0), strict=True):
            old, new = (shapely.Polygon(rings[0], rings[1:]) for rings in (before, after))
            assert new.is_valid
            assert shapely.get_num_coordinates(new) <= shapely.get_num_coordinates(old)
            assert len(new.interiors) == len(old.interiors)
            assert shapely.hausdorff_distance(new.boundary, old.boundary) <= 1.5
