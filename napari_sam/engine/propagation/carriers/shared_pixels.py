"""Pixels that several objects of a plane claim: each goes to the object that was expected there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from napari_sam.engine.propagation.carriers.blending import signed_distance
from napari_sam.engine.propagation.plane_mask import in_frame, mask_iou

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box

MERGED_IOU = 0.5
"""Overlap of the masks of two objects from which on they ran together."""


@dataclass(frozen=True)
class Claim:
    """What an object claims of a plane.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w).
    box : Box
        (y0, x0, y1, x1) of the mask, level-0 pixels.
    expected : (ndarray of bool, Box)
        The object where it was expected.
    """

    mask: NDArray[np.bool_]
    box: Box
    expected: tuple[NDArray[np.bool_], Box]


def separate(claims: Mapping[int, Claim]) -> tuple[dict[int, NDArray[np.bool_]], set[int]]:
    """Give each pixel that several objects claim to one of them.

    Parameters
    ----------
    claims : mapping of int to Claim
        Objects of a plane.

    Returns
    -------
    masks : dict of int to ndarray of bool
        The masks, without the pixels that went to another object. Of two objects the one is given a pixel whose
        expected outline it lies deeper inside, or less far outside of. Objects that were expected at the same place
        both keep theirs.
    merged : set of int
        Objects that ran together with another one.
    """
    masks = {i: claim.mask for i, claim in claims.items()}
    merged: set[int] = set()
    for i, j in combinations(claims, 2):
        first, second = claims[i], claims[j]
        common = first.box.intersection(second.box)
        if common.is_empty:
            continue
        slices = common.slices_in(first.box), common.slices_in(second.box)
        shared = masks[i][slices[0]] & masks[j][slices[1]]
        if not shared.any():
            continue
        if mask_iou(first.mask, first.box, second.mask, second.box) >= MERGED_IOU:
            merged |= {i, j}
        if mask_iou(*first.expected, *second.expected) >= MERGED_IOU:
            continue  # they were one before: nothing tells whose a pixel is
        nearer = _depth(first, common) >= _depth(second, common)
        for k, part, lost in ((i, slices[0], shared & ~nearer), (j, slices[1], shared & nearer)):
            kept = masks[k].copy()
            kept[part] &= ~lost
            masks[k] = kept
    return masks, merged


def _depth(claim: Claim, frame: Box) -> NDArray[np.float64]:
    """Return the signed distance to an expected outline at the pixels of a box, positive inside."""
    mask, box = claim.expected
    whole = box.union(frame)
    distance: NDArray[np.float64] = signed_distance(in_frame(mask, box, whole))[frame.slices_in(whole)]
    return distance
