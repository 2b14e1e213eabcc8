"""Enlarge label images with smooth outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def enlarge_labels(labels: NDArray[np.int64], ratio: int) -> NDArray[np.int64]:
    """Divide the pixels of a label image along each axis, with smooth outlines instead of steps.

    The mask of each object is interpolated linearly and thresholded at one half; where two objects meet, the one of
    the higher value gets the pixel.

    Parameters
    ----------
    labels : ndarray of int64
        (h, w).
    ratio : int
        Pixels of the result per pixel of `labels`, along each axis.

    Returns
    -------
    ndarray of int64
        (h * ratio, w * ratio).

    Examples
    --------
    >>> enlarge_labels(np.array([[0, 0, 0], [0, 7, 0], [0, 0, 0]]), 2)[2:4, 2:4].tolist()
    [[7, 7], [7, 7]]
    """
    if ratio == 1:
        return labels
    h, w = labels.shape
    values, local = np.unique(labels, return_inverse=True)
    local = local.reshape(labels.shape)
    out = np.zeros((h * ratio, w * ratio), np.int64)
    highest = np.full(out.shape, 0.5, np.float32)
    for index, box in enumerate(ndimage.find_objects(local + 1)):
        if values[index] == 0 or box is None:
            continue
        y0, x0 = max(box[0].start - 1, 0), max(box[1].start - 1, 0)
        y1, x1 = min(box[0].stop + 1, h), min(box[1].stop + 1, w)
        mask = (local[y0:y1, x0:x1] == index).astype(np.float32)
        for axis in (0, 1):
            mask = _interpolate(mask, ratio, axis)
        target = (slice(y0 * ratio, y1 * ratio), slice(x0 * ratio, x1 * ratio))
        wins = mask >= highest[target]
        out[target][wins] = values[index]
        highest[target][wins] = mask[wins]
    return out


def _interpolate(mask: NDArray[np.float32], ratio: int, axis: int) -> NDArray[np.float32]:
    """Interpolate linearly along an axis, with pixel centres aligned."""
    size = mask.shape[axis]
    position = np.clip((np.arange(size * ratio) + 0.5) / ratio - 0.5, 0, size - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    weight = (position - low).astype(np.float32)
    weight = weight[:, None] if axis == 0 else weight[None]
    out: NDArray[np.float32] = np.take(mask, low, axis) * (1 - weight) + np.take(mask, high, axis) * weight
    return out
