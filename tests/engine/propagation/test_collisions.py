"""Objects that run together are told apart from neighbours."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carrier import CarriedMask
from napari_sam.engine.propagation.collisions import with_merges


def square(y, x, side, **more):
    return CarriedMask(np.ones((side, side), bool), Box(y, x, y + side, x + side), 0.9, **more)


def test_objects_of_which_one_covers_the_other_have_merged():
    found = with_merges({0: square(0, 0, 10), 1: square(2, 2, 4, events=("split",)), 2: square(8, 8, 10)})
    assert {i: carried.events for i, carried in found.items()} == {0: ("merge",), 1: ("split", "merge"), 2: ()}


def test_an_absent_object_merges_with_none():
    found = with_merges({0: square(0, 0, 10), 1: square(2, 2, 1, absent="the network sees no object")})
    assert found[0].events == ()
