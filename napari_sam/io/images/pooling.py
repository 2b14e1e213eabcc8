"""Reduction of images by powers of 2, shared by virtual levels, overviews and transcoded pyramids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.pixel_validity import invalid_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray


def halve(block: NDArray[np.generic], nodata: float | None = None) -> NDArray[np.generic]:
    """Return the mean of every 2 x 2 pixels.

    Parameters
    ----------
    block : ndarray
        (h, w, c) of bool, integers or floats. If their number is odd, the last row or column counts twice.
    nodata : float, optional
        Value of pixels without measurement; it is left out of the mean, unless all four values are invalid.

    Returns
    -------
    ndarray
        (ceil(h / 2), ceil(w / 2), c) of the same dtype. Integers are rounded, halves up. NaN is left out of the mean,
        unless all four values are NaN.

    Examples
    --------
    >>> halve(np.array([[1, 2, 9], [3, 4, 9]], np.uint8)[..., None])[..., 0]
    array([[3, 9]], dtype=uint8)
    """
    h, w = block.shape[:2]
    if h % 2 or w % 2:
        block = np.pad(block, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    parts = [block[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    invalid = None if nodata is None else invalid_pixels(block, nodata)
    if nodata is not None and invalid is not None and invalid.any():
        return _mean_of_valid(parts, [~invalid[i::2, j::2] for i in (0, 1) for j in (0, 1)], nodata)
    return _mean_of_floats(parts, block.dtype) if block.dtype.kind == "f" else _mean_of_integers(parts, block.dtype)


def _mean_of_valid(
    parts: list[NDArray[np.generic]], valid: list[NDArray[np.bool_]], nodata: float
) -> NDArray[np.generic]:
    """Return the means of the valid values of each four, in their dtype; `nodata` where there are none."""
    dtype, counts = parts[0].dtype, np.sum(valid, axis=0)
    total = np.sum([np.where(ok, part.astype(np.float64), 0.0) for part, ok in zip(parts, valid, strict=True)], axis=0)
    mean = total / np.maximum(counts, 1)
    if dtype.kind in "iu":
        mean = np.floor(mean + 0.5)
    with np.errstate(over="ignore"):
        return np.where(counts > 0, mean, nodata).astype(dtype)


def _mean_of_integers(parts: list[NDArray[np.generic]], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Return the means of each four, halves rounded up."""
    if dtype.itemsize == 8:  # the sum of four could overflow
        quarters = sum(np.right_shift(part, 2) for part in parts)
        remainders = sum(np.bitwise_and(part, 3) for part in parts)
        return np.asarray(quarters + np.right_shift(remainders + 2, 2), dtype=dtype)
    narrow = dtype.itemsize == 1 and dtype.kind in "bu"
    wide = np.dtype(np.uint16 if narrow else np.int64 if dtype.itemsize == 4 else np.int32)
    total = parts[0].astype(wide)
    for part in parts[1:]:
        total += part
    total += 2
    total >>= 2
    return total.astype(dtype)


def _mean_of_floats(parts: list[NDArray[np.generic]], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    wide = np.promote_types(dtype, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        total = parts[0].astype(wide) / 4
        for part in parts[1:]:
            total += part.astype(wide) / 4  # quarters first, so that four large values do not overflow
        if np.isnan(total).any():
            stack = np.stack(parts).astype(wide)
            valid = ~np.isnan(stack)
            counts = valid.sum(0)
            mean = np.where(valid, stack, 0).sum(0) / np.maximum(counts, 1)
            total = np.where(counts > 0, mean, np.nan)
        out: NDArray[np.generic] = total.astype(dtype)
    return out


def pool(block: NDArray[np.generic], factor: int, nodata: float | None = None) -> NDArray[np.generic]:
    """Reduce a block by `factor`, a power of two, halving it repeatedly.

    >>> pool(np.arange(16, dtype=np.uint8).reshape(4, 4, 1), 4).ravel()
    array([8], dtype=uint8)
    """
    while factor > 1:
        block, factor = halve(block, nodata), factor // 2
    return block
