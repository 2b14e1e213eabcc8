"""Checks of ids, label images and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal.rows import LARGEST_LABEL

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Mask = NDArray[np.bool_]


def checked_labels(labels: ArrayLike) -> NDArray[np.uint32]:
    """Return a label image as uint32.

    Raises
    ------
    LabelsError
        If it is not 2-D, or its values are not ids.
    """
    values = np.asarray(labels)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biu":
        raise LabelsError(
            f"labels of shape {values.shape} and dtype {values.dtype}",
            parameter="labels",
            remedy="give (h, w) of whole numbers",
        )
    if int(values.min()) < 0 or int(values.max()) > LARGEST_LABEL:
        raise LabelsError(
            f"labels from {values.min()} to {values.max()}",
            parameter="labels",
            remedy=f"give ids from 0, background, to {LARGEST_LABEL}",
        )
    return values.astype(np.uint32)


def check_label(label: int) -> None:
    """Check an id.

    Raises
    ------
    LabelsError
        If it is not a whole number from 1 to the largest id.
    """
    if isinstance(label, bool) or int(label) != label or not 0 < label <= LARGEST_LABEL:
        raise LabelsError(
            f"label {label!r} is no id", parameter="label", remedy=f"give a whole number from 1 to {LARGEST_LABEL}"
        )


def checked_id(value: object) -> int:
    """Return an id of an object as an int.

    Raises
    ------
    LabelsError
        If it is no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise LabelsError(f"labels: {value!r} is not an id", parameter="labels", remedy="give whole numbers")
    return int(value)


def box_at(origin: tuple[int, int], shape: tuple[int, ...]) -> Box:
    """Return the box of an array whose first pixel lies at `origin`.

    >>> box_at((10, 20), (3, 4))
    (10, 20, 13, 24)
    """
    y, x = int(origin[0]), int(origin[1])
    return Box(y, x, y + shape[0], x + shape[1])


def clipped_mask(mask: Mask, bbox: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[Mask, Box]:
    """Return the part of a mask that lies inside an image of `shape`, and its box.

    Raises
    ------
    LabelsError
        If nothing of it lies inside.
    """
    whole = Box(*(int(v) for v in bbox))
    box = whole.clip(shape)
    if box.is_empty:
        raise LabelsError(
            f"the mask in box {bbox} lies outside the image of shape {shape}",
            remedy="give a mask whose box lies inside the image",
        )
    return np.asarray(mask, bool)[box.slices_in(whole)], box
