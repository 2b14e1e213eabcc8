"""Objects of a region are kept whole by their centre; what was not seen whole is left out."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.tiling.merge_tiles import WHOLE, MergedTiles
from napari_sam.engine.tiling.region_border import drop_cut_objects
from napari_sam.engine.tiling.tiles import plan_tiles

REGION, SEARCHED = Box(20, 20, 60, 60), Box(10, 10, 70, 70)


def merged(*boxes):
    """Return one whole object per box of an image of 100 x 100 pixels."""
    count = len(boxes)
    return MergedTiles(
        plan_tiles(SEARCHED, (100, 100), 1, 200, 10),
        np.array([0, count]),
        np.full(count, WHOLE, np.int8),
        np.arange(1, count + 1),
        np.array(boxes),
        np.ones(count, np.float32),
        np.ones(count, np.float32),
        np.full(count, 9),
        np.ones(count, bool),
    )


def test_centre_and_visibility_decide():
    inside, across, outside, cut = (30, 30, 40, 40), (15, 30, 29, 40), (12, 30, 24, 40), (8, 30, 60, 40)
    objects = merged(inside, across, outside, cut)
    assert drop_cut_objects([objects], REGION, SEARCHED) == 1
    assert objects.number.tolist() == [1, 2, 0, 0]


def test_the_border_of_the_image_cuts_nothing():
    objects = merged((0, 30, 10, 40))
    assert drop_cut_objects([objects], Box(0, 0, 60, 60), Box(0, 0, 70, 70)) == 0
    assert objects.number.tolist() == [1]


def test_without_objects_nothing_is_left_out():
    objects = merged((30, 30, 40, 40))
    objects.drop(np.array([True]))
    assert drop_cut_objects([objects], REGION, SEARCHED) == 0
