"""Labelled images in memory, and checks of their labels."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import ndimage

from src_models.model_errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledImage:
    """An image and its labels, decoded.

    Attributes
    ----------
    name : str
        Name of the sample, for messages.
    image : ndarray of uint8
        (H, W, 3).
    labels : ndarray of int32
        (H, W), 0 is background.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Boxes (n, 4) of the objects, as (y0, x0, y1, x1), half-open."""
        boxes = [s for s in ndimage.find_objects(self.labels) if s is not None]
        return np.array([[s[0].start, s[1].start, s[0].stop, s[1].stop] for s in boxes]).reshape(-1, 4)


Sample: TypeAlias = LabelledImage | str
"""A labelled image, or a note on a sample that was skipped, such as "img_003: no objects"."""


def labelled_image(
    name: str, path: str, raw: NDArray[np.generic], read_image: Callable[[tuple[int, ...]], NDArray[np.uint8]]
) -> Sample:
    """Check labels and read their image.

    Parameters
    ----------
    name : str
        Name of the sample.
    path : str
        Path of the labels, for messages.
    raw : ndarray
        Labels as stored.
    read_image : callable
        Takes the shape of the labels and returns the image; called only if there are objects.

    Returns
    -------
    LabelledImage or str
        The note, if there are no objects.

    Raises
    ------
    TrainingError
        If the labels cannot be used, or the image has another shape.
    """
    labels = checked_labels(raw, path)
    if not labels.any():
        return f"{name}: no objects"
    image = read_image(labels.shape)
    if image.shape[:2] != labels.shape:
        message = f"{path}: shape {labels.shape} is not the shape {image.shape[:2]} of the image"
        raise TrainingError(message, remedy="make them equal")
    return LabelledImage(name, image, labels)


def checked_labels(raw: NDArray[np.generic], path: str) -> NDArray[np.int32]:
    """Convert labels to int32, renumbered from 1 if they are far larger than their number.

    Parameters
    ----------
    raw : ndarray
        Labels as stored.
    path : str
        Path of the labels, for messages.

    Raises
    ------
    TrainingError
        If the labels are not two-dimensional integers from 0, or look like the mask of several objects.
    """
    if raw.dtype.kind not in "bui":
        raise TrainingError(f"{path}: labels are {raw.dtype}", remedy="save them as integers")
    if raw.ndim != 2:
        message = f"{path}: labels of shape {raw.shape} are not (y, x)"
        raise TrainingError(message, remedy="save one integer for each pixel")
    numbers = raw.astype(np.uint8) * np.uint8(255) if raw.dtype.kind == "b" else raw
    lowest, highest = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if lowest < 0:
        raise TrainingError(
            f"{path}: label {lowest} is negative", remedy="number objects from 1, with 0 for the background"
        )
    if highest == 255 and numbers.itemsize == 1 and not ((numbers != 0) & (numbers != 255)).any():
        parts = ndimage.label(numbers, np.ones((3, 3)))[1]
        if parts > 1:
            raise TrainingError(
                f"{path}: a black-and-white mask of {parts} parts",
                remedy="number its objects (skimage.measure.label), or write 1 for 255 if they are one object",
            )
    if highest > 1000:
        values = np.unique(numbers)
        if highest > 10 * len(values) + 1000:
            return np.searchsorted(values[values > 0], numbers, side="right").astype(np.int32)
    return numbers.astype(np.int32)


def matches(include: Iterable[str], *names: str) -> bool:
    """Return whether one of the names matches one of the patterns."""
    return any(fnmatch(name, pattern) for pattern in include for name in names)
