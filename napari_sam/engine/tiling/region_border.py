"""Objects at the border of a region: followed outside it, or left out, but never cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.merge_tiles import MergedTiles


def drop_cut_objects(levels: Sequence[MergedTiles], region: Box, searched: Box) -> int:
    """Keep the objects whose centre lies in a region and that were seen whole; changes states and numbers in place.

    Runs over neighbouring regions then find each object once, and what one run leaves out a run over a larger region
    finds.

    Parameters
    ----------
    levels : sequence of MergedTiles
        Merged objects of each factor.
    region : Box
        What the user asked for, level-0 pixels.
    searched : Box
        What was searched: the region and what lies around it.

    Returns
    -------
    int
        Number of objects with their centre in the region that reach beyond what was searched, and are left out.
    """
    left_out = 0
    for merged in levels:
        low, high = merged.extents()
        centre = (low + high) / 2
        is_inside = ((centre >= region[:2]) & (centre < region[2:])).all(1)
        height, width = merged.grid.image_shape
        slack = merged.grid.factor
        is_cut = np.zeros(len(low), bool)
        for axis, size in enumerate((height, width)):
            start, stop = searched[axis], searched[axis + 2]
            is_cut |= (start > 0) & (low[:, axis] < start + slack)
            is_cut |= (stop < size) & (high[:, axis] > stop - slack)
        present = np.zeros(len(low), bool)
        present[merged.number] = True
        present[0] = False
        left_out += int(np.count_nonzero(present & is_inside & is_cut))
        dropped = ~is_inside | is_cut
        dropped[0] = False
        merged.drop(dropped[merged.number])
        merged.renumber()
    return left_out
