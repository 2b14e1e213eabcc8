"""Masks of polygons: the pixels whose centres lie inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.windows import LARGEST_MASK_PX
from src_models.even_odd import even_odd_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ring = NDArray[np.float64]

_PER_PIXEL = 1 << 30  # corners times pixels


def polygons_mask(polygons: Sequence[Sequence[Ring]], shape: tuple[int, int]) -> MaskPrompt | None:
    """Return the pixels in one of several polygons; None if there are none, or too many.

    Parameters
    ----------
    polygons : sequence of sequence of ndarray
        For each polygon its outline and its holes, (R, 2) as (y, x) from the outer corner of the first pixel.
    shape : (int, int)
        Height and width of the image, to which the mask is cut.
    """
    corner, mask = _empty_mask([ring for polygon in polygons for ring in polygon], shape)
    for outer, *holes in polygons:
        box, part = _filled(outer, corner, mask.shape)
        for hole in holes:
            inner, hidden = _filled(hole, (corner[0] + box[0].start, corner[1] + box[1].start), part.shape)
            part[inner] &= ~hidden
        mask[box] |= part
    return _prompt(corner, mask)


def even_odd_rings(rings: Sequence[Ring], shape: tuple[int, int]) -> MaskPrompt | None:
    """Return the pixels in an odd number of rings; parameters and result as in `polygons_mask`."""
    corner, mask = _empty_mask(rings, shape)
    for ring in rings:
        box, part = _filled(ring, corner, mask.shape)
        mask[box] ^= part
    return _prompt(corner, mask)


def _empty_mask(rings: Sequence[Ring], shape: tuple[int, int]) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """Return the first pixel (y, x) and an empty mask of the box of some rings inside the image.

    The mask has no pixels if that box is empty, or larger than the largest mask.
    """
    corners = np.concatenate(rings)
    low, high = np.clip(np.floor(corners.min(0)), 0, shape), np.clip(np.ceil(corners.max(0)), 0, shape)
    (y0, x0), (y1, x1) = low.astype(int).tolist(), high.astype(int).tolist()
    height, width = max(0, y1 - y0), max(0, x1 - x0)
    if height * width > LARGEST_MASK_PX:
        height = width = 0
    return (y0, x0), np.zeros((height, width), bool)


def _prompt(corner: tuple[int, int], mask: NDArray[np.bool_]) -> MaskPrompt | None:
    y, x = corner
    return MaskPrompt(mask, (y, x, y + mask.shape[0], x + mask.shape[1])) if mask.any() else None


def _filled(
    ring: NDArray[np.float64], corner: tuple[int, int], shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the pixels whose centres lie in a ring (R, 2), within its part of a mask of `shape` at `corner`."""
    low, high = np.floor(ring.min(0)), np.ceil(ring.max(0))
    starts = [min(max(0, int(v) - c), n) for v, c, n in zip(low, corner, shape, strict=True)]
    stops = [max(start, min(n, int(v) - c)) for start, v, c, n in zip(starts, high, corner, shape, strict=True)]
    box = (slice(starts[0], stops[0]), slice(starts[1], stops[1]))
    size = (stops[0] - starts[0], stops[1] - starts[1])
    origin = np.array([corner[0] + starts[0], corner[1] + starts[1]], float)
    if len(ring) * size[0] * size[1] > _PER_PIXEL:  # scikit-image compares every pixel with every corner
        return box, even_odd_mask((ring - origin)[:, ::-1], size)
    from skimage.draw import polygon2mask  # noqa: PLC0415 - slow to import

    return box, polygon2mask(size, ring - (origin + 0.5))
