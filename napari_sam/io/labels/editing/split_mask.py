"""Split a mask into parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def split_mask(
    mask: NDArray[np.bool_], points: NDArray[np.float64] | None, spacing: tuple[float, ...] | None = None
) -> NDArray[np.int32]:
    """Number the parts of a mask from 1.

    Parameters
    ----------
    mask : ndarray of bool
        (h, w), or (planes, h, w).
    points : ndarray of float, optional
        (P, 2) as (y, x) or (P, 3) as (plane, y, x), one point in each part; the mask is cut at the narrowest places
        between them. Without points its separate pieces are the parts.
    spacing : tuple of float, optional
        Distance of neighbours along each axis; 1 by default.

    Returns
    -------
    ndarray of int32
        Numbers of the mask's shape, 0 outside the mask. If two points fall on one pixel, a number is missing.

    Raises
    ------
    LabelsError
        If a point does not lie on the mask.

    Examples
    --------
    >>> split_mask(np.array([[True, False, True]]), None)
    array([[1, 0, 2]], dtype=int32)
    """
    from scipy import ndimage  # noqa: PLC0415 - slow to import

    if points is None:
        pieces, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
        numbered: NDArray[np.int32] = pieces
        return numbered
    from skimage.segmentation import watershed  # noqa: PLC0415 - slow to import

    seeds = np.zeros(mask.shape, np.int32)
    for number, point in enumerate(np.round(np.atleast_2d(points)).astype(np.int64).tolist(), start=1):
        position = tuple(point)
        if not (all(0 <= i < n for i, n in zip(position, mask.shape, strict=True)) and mask[position]):
            raise LabelsError(f"point {number} does not lie on the object", remedy="give points on each of its parts")
        seeds[position] = number
    depth = ndimage.distance_transform_edt(mask, spacing)
    # Seeds flood up to the neck between them; a disc has none and is divided by the distance to the points.
    nearness = ndimage.distance_transform_edt(seeds == 0, spacing)
    parts: NDArray[np.int32] = watershed(nearness - depth, seeds, mask=mask).astype(np.int32)
    parts[mask & (parts == 0)] = 1  # pieces without a point stay with the first
    return parts
