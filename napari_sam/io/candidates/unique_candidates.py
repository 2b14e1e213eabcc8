"""Leave out candidates that neighbouring regions have found twice, and those that a region has cut."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SAME_IOU = 0.6  # of masks of two regions; within a region candidates may be as alike as they are
_LARGE = 0.5  # share of a region's side from which an object is left to the coarser factor


def unique_candidates(found: Sequence[tuple[Box, Candidates]]) -> Candidates | None:
    """Join the candidates of overlapping regions.

    Parameters
    ----------
    found : sequence of (Box, Candidates)
        Regions, level-0 pixels, with their candidates.

    Returns
    -------
    Candidates or None
        Each candidate once, from the region in which it is farthest from a border, at the finest factor; None for no
        region.
    """
    if not found:
        return None
    factors = sorted({candidates.factor for _, candidates in found})
    parts: list[Candidates] = []
    least = 0.0
    for factor in factors:
        level = [(region, candidates) for region, candidates in found if candidates.factor == factor]
        joined = _joined(level)
        sides = (joined.boxes[:, 2:] - joined.boxes[:, :2]).max(1, initial=0)
        parts.append(_at_factor(joined.subset(sides >= least), factors[0]))
        least = _LARGE * max(max(region.shape) for region, _ in level)
    return Candidates.concatenate(parts)


def _joined(found: Sequence[tuple[Box, Candidates]]) -> Candidates:
    """Join the candidates of regions of one factor."""
    end = np.array([region for region, _ in found])[:, 2:].max(0)
    parts, margins, owners = [], [], []
    for number, (region, candidates) in enumerate(found):
        margin = _margin(candidates.boxes, region, end)
        whole = margin > 0
        parts.append(candidates.subset(whole))
        margins.append(margin[whole])
        owners.append(np.full(int(whole.sum()), number))
    joined = Candidates.concatenate(parts)
    doubles = _doubles(joined, [region for region, _ in found], np.concatenate(margins), np.concatenate(owners))
    return joined.subset(~doubles)


def _margin(boxes: NDArray[np.int64], region: Box, end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how far boxes are from a side of the region behind which the image goes on."""
    far = np.full(len(boxes), np.iinfo(np.int64).max)
    if region.y0 > 0:
        far = np.minimum(far, boxes[:, 0] - region.y0)
    if region.x0 > 0:
        far = np.minimum(far, boxes[:, 1] - region.x0)
    if region.y1 < end[0]:
        far = np.minimum(far, region.y1 - boxes[:, 2])
    if region.x1 < end[1]:
        far = np.minimum(far, region.x1 - boxes[:, 3])
    return far


def _doubles(
    joined: Candidates, regions: list[Box], margin: NDArray[np.int64], owner: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return which candidates another region shows with a wider margin."""
    doubles = np.zeros(len(joined), bool)
    bounds = np.array(regions)
    for number, region in enumerate(regions):
        mine = np.flatnonzero(owner == number)
        for other in np.flatnonzero(_meet(bounds, region)):
            if other <= number or not len(mine):
                continue
            shared = region.intersection(regions[other])
            near = mine[_meet(joined.boxes[mine], shared)]
            theirs = np.flatnonzero(owner == other)
            theirs = theirs[_meet(joined.boxes[theirs], shared)]
            for i, j in np.argwhere(_box_iou(joined.boxes[near], joined.boxes[theirs]) >= _SAME_IOU).tolist():
                a, b = int(near[i]), int(theirs[j])
                if _mask_iou(joined, a, b) >= _SAME_IOU:
                    doubles[b if margin[a] >= margin[b] else a] = True
    return doubles


def _meet(boxes: NDArray[np.int64], box: Box) -> NDArray[np.bool_]:
    meet: NDArray[np.bool_] = (
        (boxes[:, 0] < box.y1) & (boxes[:, 2] > box.y0) & (boxes[:, 1] < box.x1) & (boxes[:, 3] > box.x0)
    )
    return meet


def _box_iou(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the IoU of every two boxes, (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.maximum(0, high - low).prod(-1)
    area = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    iou: NDArray[np.float64] = both / np.maximum(1, area[0][:, None] + area[1][None] - both)
    return iou


def _mask_iou(joined: Candidates, a: int, b: int) -> float:
    boxes = [Box(*(int(v) // joined.factor for v in joined.boxes[i])) for i in (a, b)]
    common = boxes[0].intersection(boxes[1])
    if common.is_empty:
        return 0.0
    inside = [joined.masks[i][common.shift(-box.y0, -box.x0).slices] for i, box in zip((a, b), boxes, strict=True)]
    both = int(np.count_nonzero(inside[0] & inside[1]))
    either = int(np.count_nonzero(joined.masks[a])) + int(np.count_nonzero(joined.masks[b])) - both
    return both / max(1, either)


def _at_factor(candidates: Candidates, factor: int) -> Candidates:
    """Return candidates with masks of a finer factor, whose pixels are repeated."""
    times = candidates.factor // factor
    if times == 1:
        return candidates
    return replace(
        candidates, masks=tuple(m.repeat(times, 0).repeat(times, 1) for m in candidates.masks), factor=factor
    )
