"""Link the objects of the planes of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.linking.assignment import assign
from napari_sam.engine.linking.link_settings import PlaneLinking
from napari_sam.engine.linking.plane_objects import Links, NodeTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.linking.plane_objects import OverlapPairs, PlaneObjects, PlaneOverlap

_END_COVERED, _END_IOU = 0.8, 0.1  # from which an object may end in, or begin with, a much smaller section
_GAP_IOU = 0.7  # from which an object is the same on both sides of a gap


def link_planes(
    objects: Sequence[PlaneObjects], overlaps: Sequence[PlaneOverlap], settings: PlaneLinking | None = None
) -> Links:
    """Link the objects of neighbouring planes by their overlap.

    Objects of neighbouring planes are assigned to each other so that the sum of their IoU is largest. What then ends
    in a plane is assigned to what begins in the next one, if the larger of the two covers the smaller: the last
    section of an object is often much smaller than the one before. At last what ends is assigned to what begins at
    most `max_gap` planes further, if both look alike.

    Parameters
    ----------
    objects : sequence of PlaneObjects
        The planes; one that could not be segmented is absent.
    overlaps : sequence of PlaneOverlap
        Overlaps of neighbouring planes, and of planes up to `max_gap` planes further apart.
    settings : PlaneLinking, optional
        Thresholds.

    Returns
    -------
    Links
    """
    settings = settings or PlaneLinking()
    nodes = NodeTable(objects)
    pairs = nodes.pairs(overlaps)
    iou = pairs.iou()
    adjacent = pairs.gap == 0
    if settings.link_by == "greedy":
        chosen = _greedy(pairs, iou, adjacent & (iou >= settings.min_overlap))
    else:
        chosen = _link(pairs, iou, adjacent & (iou >= settings.min_overlap))
        covered = pairs.covered()
        ends = adjacent & (covered >= _END_COVERED) & (iou >= _END_IOU)
        chosen |= _link_ends(pairs, np.sqrt(iou * covered), ends, chosen)
        across = ~adjacent & (pairs.gap <= settings.max_gap) & (iou >= max(_GAP_IOU, settings.min_overlap))
        chosen |= _link_ends(pairs, iou, across, chosen)
    edges = np.stack([pairs.first[chosen], pairs.second[chosen]], axis=1)
    return nodes.links(edges, settings.min_planes)


def _link(pairs: OverlapPairs, similarity: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which allowed pairs are linked, plane by plane."""
    chosen = np.zeros(len(allowed), bool)
    plane = pairs.nodes.position[pairs.first]
    entries = np.flatnonzero(allowed)
    entries = entries[np.argsort(plane[entries], kind="stable")]
    starts = np.flatnonzero(np.diff(plane[entries], prepend=-1))
    for group in np.split(entries, starts[1:]):
        chosen[group] = assign(pairs.first[group], pairs.second[group], similarity[group])
    return chosen


def _link_ends(
    pairs: OverlapPairs, similarity: NDArray[np.float64], allowed: NDArray[np.bool_], linked: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which allowed pairs are linked, of a node without a next one and a node without a previous one."""
    has_next, has_previous = np.zeros(pairs.nodes.count, bool), np.zeros(pairs.nodes.count, bool)
    has_next[pairs.first[linked]] = True
    has_previous[pairs.second[linked]] = True
    entries = np.flatnonzero(allowed & ~has_next[pairs.first] & ~has_previous[pairs.second])
    chosen = np.zeros(len(allowed), bool)
    chosen[entries] = assign(pairs.first[entries], pairs.second[entries], similarity[entries])
    return chosen


def _greedy(pairs: OverlapPairs, similarity: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pairs are linked if the largest overlap is taken first."""
    entries = np.flatnonzero(allowed)
    entries = entries[np.lexsort((pairs.second[entries], pairs.first[entries], -similarity[entries]))]
    has_next, has_previous = np.zeros(pairs.nodes.count, bool), np.zeros(pairs.nodes.count, bool)
    chosen = np.zeros(len(allowed), bool)
    for entry in entries.tolist():
        a, b = pairs.first[entry], pairs.second[entry]
        if not has_next[a] and not has_previous[b]:
            has_next[a] = has_previous[b] = chosen[entry] = True
    return chosen
