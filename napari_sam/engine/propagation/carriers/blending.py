"""Blend two masks of an object by their signed distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.propagation.plane_mask import cropped, in_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the distance to a mask's outline in pixels, positive inside."""
    if not mask.any():
        return np.full(mask.shape, -float(max(mask.shape)))
    padded = np.pad(mask, 1)
    inside = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~padded)[1:-1, 1:-1]
    distance: NDArray[np.float64] = inside - outside
    return distance


def blend(
    first: tuple[NDArray[np.bool_], Box], second: tuple[NDArray[np.bool_], Box], weight: float
) -> tuple[NDArray[np.bool_], Box]:
    """Return a mask between two others, each given with its box.

    Parameters
    ----------
    first, second : (ndarray of bool, Box)
        The masks.
    weight : float
        Of the first, in [0, 1].

    Returns
    -------
    (ndarray of bool, Box)
        The pixels whose weighted mean of signed distances is positive, as in shape-based interpolation [1]_. If there
        are none, as between masks far from each other, the mask of the larger weight.

    References
    ----------
    .. [1] S. P. Raya and J. K. Udupa, "Shape-based interpolation of multidimensional objects", IEEE Transactions on
       Medical Imaging 9 (1990).
    """
    frame = first[1].union(second[1])
    distances = [signed_distance(in_frame(mask, box, frame)) for mask, box in (first, second)]
    mask = weight * distances[0] + (1 - weight) * distances[1] > 0
    if not mask.any():
        return first if weight >= 0.5 else second
    return cropped(mask, frame)
