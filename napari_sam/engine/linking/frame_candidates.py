"""Candidate links between the objects of frames, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.linking.plane_objects import NodeTable, OverlapPairs

CUTOFF = 1.0
"""Links of this cost or more are never made."""

_REACH = 1.5  # default of the farthest move, in median diameters
_LARGEST_AREA_RATIO = 4.0  # of an object in two frames
_LARGEST_DAUGHTER, _SMALLEST_DAUGHTER = 1.2, 0.2  # area of a daughter over that of its mother
_GAP_PENALTY = 0.1  # of the cost, per frame in which an object is missing
_SIZE_WEIGHT = 0.3
_SMALLEST_COST = 1e-3


@dataclass(frozen=True)
class Candidates:
    """Candidate links from an earlier to a later node.

    Attributes
    ----------
    first, second : ndarray of int64
        (m,) nodes.
    cost : ndarray of float64
        (m,) cost of the link as a move, below `CUTOFF`; infinite if it cannot be one.
    division_cost : ndarray of float64
        (m,) cost of the link as that of a mother to one of two daughters; infinite if it cannot be one.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cost: NDArray[np.float64]
    division_cost: NDArray[np.float64]


def frame_candidates(nodes: NodeTable, pairs: OverlapPairs, max_distance_px: float | None, max_gap: int) -> Candidates:
    """Find the pairs of objects that may be the same object in two frames, or a mother and her daughter.

    Parameters
    ----------
    nodes : NodeTable
        The objects of all frames.
    pairs : OverlapPairs
        Pairs that share pixels.
    max_distance_px : float, optional
        Farthest move between two frames; by default 1.5 times the median diameter of all objects.
    max_gap : int
        Number of frames in which an object may be missing.

    Returns
    -------
    Candidates

    Notes
    -----
    The cost is the mean of the squared distance of the centroids, relative to the farthest move, and of 1 - IoU, plus a
    term for the difference of the areas and one for each missing frame.
    """
    reach = default_reach(nodes) if max_distance_px is None else max_distance_px
    first, second, distance = _near_pairs(nodes, reach, max_gap)
    gap = nodes.position[second] - nodes.position[first] - 1
    overlap = _lookup(nodes.count, pairs, first, second)
    area = nodes.area.astype(np.float64)
    union = np.maximum(area[first] + area[second] - overlap, 1)
    ratio = area[second] / np.maximum(area[first], 1)
    moved = (distance / (reach * np.sqrt(gap + 1.0))) ** 2
    size = np.abs(np.log(np.maximum(ratio, 1e-9))) / np.log(_LARGEST_AREA_RATIO)
    cost = 0.5 * moved + 0.5 * (1 - overlap / union) * (1 - _SIZE_WEIGHT) + 0.5 * _SIZE_WEIGHT * size
    cost = np.where(size <= 1, np.clip(cost + _GAP_PENALTY * gap, _SMALLEST_COST, None), np.inf)
    may_divide = (gap == 0) & (ratio <= _LARGEST_DAUGHTER) & (ratio >= _SMALLEST_DAUGHTER)
    covered = overlap / np.maximum(area[second], 1)
    division = np.where(may_divide, np.clip(0.5 * moved + 0.5 * (1 - covered), _SMALLEST_COST, None), np.inf)
    cost[cost >= CUTOFF], division[division >= CUTOFF] = np.inf, np.inf
    kept = np.isfinite(cost) | np.isfinite(division)
    return Candidates(first[kept], second[kept], cost[kept], division[kept])


def default_reach(nodes: NodeTable) -> float:
    """Return the farthest move between two frames if none is given, level-0 pixels."""
    if not nodes.count:
        return 1.0
    return float(_REACH * np.median(np.sqrt(nodes.area.astype(np.float64) * (4 / np.pi)))) + 1.0


def _near_pairs(
    nodes: NodeTable, reach: float, max_gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs of nodes of two frames that are near enough, and their distances."""
    trees = [cKDTree(table.centroid) if len(table) else None for table in nodes.objects]
    centroid = nodes.centroid
    parts = [np.empty((0, 2), np.int64)]
    for i, tree in enumerate(trees):
        for j in range(i + 1, min(len(trees), i + max_gap + 2)):
            other = trees[j]
            if tree is None or other is None:
                continue
            near = tree.query_ball_tree(other, reach * np.sqrt(j - i))
            parts += [
                np.stack([np.full(len(found), nodes.offsets[i] + k), nodes.offsets[j] + np.sort(found)], axis=1)
                for k, found in enumerate(near)
                if found
            ]
    first, second = np.concatenate(parts).astype(np.int64).T
    return first, second, np.linalg.norm(centroid[first] - centroid[second], axis=1)


def _lookup(
    count: int, pairs: OverlapPairs, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the pixels that the nodes of each pair share."""
    known = pairs.first * count + pairs.second
    order = np.argsort(known)
    wanted = first * count + second
    found = np.searchsorted(known[order], wanted)
    found = np.minimum(found, max(len(known) - 1, 0))
    if not len(known):
        return np.zeros(len(wanted))
    return np.where(known[order][found] == wanted, pairs.pixels[order][found], 0).astype(np.float64)
