"""Tables of the objects of label planes that are in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.linking.count_overlaps import ObjectExtents, OverlapCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.linking.plane_objects import PlaneObjects, PlaneOverlap


def stack_tables(
    planes: Sequence[NDArray[np.integer]], max_gap: int = 0
) -> tuple[list[PlaneObjects], list[PlaneOverlap]]:
    """Measure label planes and count their overlaps.

    Parameters
    ----------
    planes : sequence of ndarray of int
        (h, w) labels of each plane, which need not agree between planes; 0 is background.
    max_gap : int
        Also compare planes with this number of planes between them.

    Returns
    -------
    objects : list of PlaneObjects
        One table for each plane; all scores are 1.
    overlaps : list of PlaneOverlap
        Shared pixels.
    """
    objects = [_plane_objects(i, plane) for i, plane in enumerate(planes)]
    overlaps = []
    for i, first in enumerate(objects):
        for j in range(i + 1, min(len(objects), i + max_gap + 2)):
            counter = OverlapCounter(first.labels, objects[j].labels)
            counter.add(planes[i], planes[j])
            overlaps.append(counter.result(i, j))
    return objects, overlaps


def _plane_objects(index: int, plane: NDArray[np.integer]) -> PlaneObjects:
    labels = np.unique(plane[plane > 0]).astype(np.int64)
    extents = ObjectExtents(labels)
    extents.add(plane, (0, 0))
    return extents.table(index, np.ones(len(labels), np.float32))
