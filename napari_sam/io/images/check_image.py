"""Check an opened image before any pixel is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image

_LEVELS_REMEDY = "open level 0 alone, or write the levels again with napari-sam transcode"


def check_image(image: Image) -> None:
    """Refuse an image that does not hold numbers, or whose levels do not match each other.

    Raises
    ------
    ImageError
        With the dtype, shape or level, and the remedy.
    """
    dtype = image.dtype
    if dtype.kind not in "buif":
        remedy = "take its absolute value or real part" if dtype.kind == "c" else "convert it to numbers"
        raise ImageError(f"{image.name}: dtype {dtype} is not a picture", remedy=remedy)
    if min(image.shape) < 1 or image.channel_count < 1:
        raise ImageError(
            f"{image.name}: shape {tuple(image.arrays[0].shape)} has no pixels", remedy="give at least one pixel"
        )
    for level in range(1, len(image.arrays)):
        _check_level(image, level)
        _check_shape(image, level)


def _check_level(image: Image, level: int) -> None:
    """Check that a level has the axes, dtype and channels of the next finer one."""
    finer, array = image.arrays[level - 1], image.arrays[level]
    if len(array.shape) != len(finer.shape) or np.dtype(array.dtype) != np.dtype(finer.dtype):
        raise ImageError(
            f"{image.name}: level {level} is {array.dtype} {tuple(array.shape)}, "
            f"level {level - 1} {finer.dtype} {tuple(finer.shape)}",
            remedy=_LEVELS_REMEDY,
        )
    axis = image.channel_axis
    if axis is not None and array.shape[axis] != finer.shape[axis]:
        raise ImageError(
            f"{image.name}: level {level} has {array.shape[axis]} channels, level {level - 1} {finer.shape[axis]}",
            remedy=_LEVELS_REMEDY,
        )


def _check_shape(image: Image, level: int) -> None:
    """Check that a level is no larger than the next finer one and has the image's aspect."""
    (h0, w0), (finer_h, finer_w), (h, w) = image.levels[0], image.levels[level - 1], image.levels[level]
    subject = f"{image.name}: level {level} of shape {(h, w)}"
    if min(h, w) < 1:
        raise ImageError(f"{subject} has no pixels", remedy=_LEVELS_REMEDY)
    if h > finer_h or w > finer_w:
        raise ImageError(f"{subject} is larger than level {level - 1} of {(finer_h, finer_w)}", remedy=_LEVELS_REMEDY)
    factor = max(h0, w0) / max(h, w)
    if abs(h - h0 / factor) > 2 + 0.01 * h or abs(w - w0 / factor) > 2 + 0.01 * w:
        raise ImageError(f"{subject} has another aspect than level 0 of {(h0, w0)}", remedy=_LEVELS_REMEDY)
