"""Points and crops of grid mode, and the filters that masks must pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


EDGE_PX = 20
"""A mask whose box is this near to its crop's edge was probably cut by it."""


def point_grid(per_side: int) -> NDArray[np.float64]:
    """Return the centres of per_side x per_side cells of the unit square, (per_side ** 2, 2) as (y, x), row by row.

    >>> point_grid(2).tolist()
    [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]]
    """
    at = np.linspace(1 / (2 * per_side), 1 - 1 / (2 * per_side), per_side)
    return np.stack(np.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2)


def crop_boxes(shape: tuple[int, int], layers: int, overlap_ratio: float) -> list[tuple[Box, int]]:
    """Return the whole image, then the crops of each layer, with the number of their layer.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image.
    layers : int
        Number of layers of crops.
    overlap_ratio : float
        Overlap in the first layer over the image's short side; halved from layer to layer.

    Examples
    --------
    >>> crop_boxes((100, 200), 1, 0.1)[1:]
    [((0, 0, 55, 105), 1), ((45, 0, 100, 105), 1), ((0, 95, 55, 200), 1), ((45, 95, 100, 200), 1)]
    """
    crops: list[tuple[Box, int]] = [(Box(0, 0, *shape), 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(shape) * 2 / count)
        spans = []
        for size in shape:
            length = math.ceil((overlap * (count - 1) + size) / count)
            starts = ((length - overlap) * i for i in range(count))
            spans.append([(start, min(start + length, size)) for start in starts])
        rows, cols = spans
        crops += [(Box(y0, x0, y1, x1), layer) for x0, x1 in cols for y0, y1 in rows if y0 < y1 and x0 < x1]
    return crops


def box_nms(boxes: NDArray[np.number[Any]], scores: NDArray[np.floating[Any]], threshold: float) -> NDArray[np.intp]:
    """Choose boxes, best first, none of which overlaps a better one by more than the threshold.

    Parameters
    ----------
    boxes : ndarray of int or float
        (N, 4) as (y0, x0, y1, x1), half-open.
    scores : ndarray of float
        (N,); of equal ones the first counts as better.
    threshold : float
        IoU of two boxes, from the middles of their outermost pixels as SAM measures it.

    Returns
    -------
    ndarray of int
        Indices of those that stay, best first.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 11, 11], [0, 0, 11, 10], [20, 20, 31, 31]])
    >>> box_nms(boxes, np.array([0.5, 0.9, 0.7]), 0.7).tolist()
    [1, 2]
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    corners = boxes.astype(np.float64)
    corners[:, 2:] -= 1
    areas = (corners[:, 2:] - corners[:, :2]).prod(1)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = np.maximum(corners[order, :2], corners[best, :2])
        high = np.minimum(corners[order, 2:], corners[best, 2:])
        common = (high - low).clip(min=0).prod(1)
        order = order[common <= threshold * (areas[order] + areas[best] - common)]
    return np.array(kept, np.intp)


def cut_by_crop(
    boxes: NDArray[np.integer[Any]], crop: Sequence[int], whole: Sequence[int], edge_px: int = EDGE_PX
) -> NDArray[np.bool_]:
    """Return which boxes are near an edge of their crop that is no edge of the image.

    Parameters
    ----------
    boxes : ndarray of int
        (N, 4) as (y0, x0, y1, x1), half-open, in the frame of `crop` and `whole`.
    crop, whole : (int, int, int, int)
        (y0, x0, y1, x1) of the crop and of the image, half-open.
    edge_px : int
        How near; 20 in SAM.

    Examples
    --------
    >>> cut_by_crop(np.array([[5, 50, 40, 80], [5, 50, 40, 81]]), (0, 0, 100, 100), (0, 0, 100, 200)).tolist()
    [False, True]
    """
    last = boxes - np.array([0, 0, 1, 1])  # SAM compares outermost pixels with half-open edges
    near_crop = np.abs(last - np.asarray(crop)) <= edge_px
    near_image = np.abs(last - np.asarray(whole)) <= edge_px
    cut: NDArray[np.bool_] = (near_crop & ~near_image).any(1)
    return cut


def without_small_regions(mask: NDArray[np.bool_], least: int) -> tuple[NDArray[np.bool_], bool]:
    """Fill small holes, then drop small parts; both are 8-connected.

    Parameters
    ----------
    mask : ndarray of bool
        (h, w), the whole image, or the object with `least` pixels around it: background that reaches so far is not
        small.
    least : int
        Holes and parts with fewer pixels are removed; the largest part stays whatever its size.

    Returns
    -------
    mask : ndarray of bool
    changed : bool

    Examples
    --------
    >>> mask = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    >>> without_small_regions(mask, 3)[0].astype(int).tolist()
    [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    """
    changed = False
    for holes in (True, False):
        parts, count = ndimage.label(mask ^ holes, np.ones((3, 3)))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        small = sizes < least
        small[0] = False
        if not small.any():
            continue
        changed = True
        if holes:
            mask = mask | small[parts]
            continue
        large = ~small
        large[0] = False
        if not large.any():
            large[1 + int(np.argmax(sizes[1:]))] = True
        mask = large[parts]
    return mask, changed


def flatten_masks(
    shape: tuple[int, int], masks: Sequence[tuple[NDArray[np.bool_], tuple[int, int]]]
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Flatten masks that may overlap into labels; larger masks lie below smaller ones.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the labels.
    masks : sequence of (ndarray of bool, (int, int))
        Crops (h, w) and the position of their first pixel, as (y, x); they are clipped to the labels.

    Returns
    -------
    labels : ndarray of int32
        0 is background, objects from 1 to n without gaps, the largest first.
    kept : ndarray of int
        (n,) index of each object's mask; hidden masks are missing.

    Examples
    --------
    >>> big, small = np.ones((2, 3), bool), np.ones((1, 1), bool)
    >>> flatten_masks((2, 3), [(small, (0, 1)), (big, (0, 0))])[0].tolist()
    [[1, 2, 1], [1, 1, 1]]
    """
    labels = np.zeros(shape, np.int32)
    order = np.argsort([-np.count_nonzero(mask) for mask, _ in masks], kind="stable").astype(np.intp)
    for label, index in enumerate(order, 1):
        mask, (y, x) = masks[index]
        top, left = max(y, 0), max(x, 0)
        bottom, right = min(y + mask.shape[0], shape[0]), min(x + mask.shape[1], shape[1])
        if top < bottom and left < right:
            seen = mask[top - y : bottom - y, left - x : right - x]
            labels[top:bottom, left:right][seen] = label
    there = np.bincount(labels.ravel(), minlength=len(order) + 1) > 0
    there[0] = False
    numbers = np.cumsum(there, dtype=np.int32) * there
    return numbers.astype(np.int32)[labels], order[there[1:]]
