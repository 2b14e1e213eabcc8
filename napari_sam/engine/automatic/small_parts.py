"""Fill small holes of labelled objects, and remove their small separate parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEIGHBOURS = np.ones((3, 3))


def without_small_parts(labels: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    """Fill holes and remove parts of objects that have fewer pixels than `least`; both are 8-connected.

    Parameters
    ----------
    labels : ndarray of int32
        (h, w), 0 is background.
    least : float
        Number of pixels from which a hole or part stays. The largest part of an object stays in any case, and so does
        one at the border of the labels, beyond which it may go on. Pixels of another object in a hole stay its own.

    Returns
    -------
    ndarray of int32
        (h, w), with the same objects.

    Examples
    --------
    >>> labels = np.zeros((5, 8), np.int32)
    >>> labels[1:4, 1:4], labels[2, 2], labels[3, 5] = 1, 0, 1
    >>> without_small_parts(labels, 2)[1:4].tolist()
    [[0, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0]]
    """
    out = labels.copy()
    is_inner = np.zeros(labels.shape, bool)
    is_inner[1:-1, 1:-1] = True
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == number
        around, sizes = _parts(np.pad(~mask, 1, constant_values=True))
        is_hole = sizes < least
        is_hole[[0, around[0, 0]]] = False
        out[box][is_hole[around[1:-1, 1:-1]] & (labels[box] == 0)] = number
        parts, sizes = _parts(mask)
        is_speck = sizes < least
        is_speck[np.unique(parts[~is_inner[box]])] = False
        is_speck[[0, 1 + int(np.argmax(sizes[1:]))]] = False
        out[box][is_speck[parts]] = 0
    return out


def _parts(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the parts of a mask, numbered from 1, and the number of pixels of each number from 0."""
    parts, count = ndimage.label(mask, _NEIGHBOURS)
    return parts, np.bincount(parts.ravel(), minlength=count + 1)
