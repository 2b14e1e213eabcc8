"""Which pixels hold no measurement: one rule for contrast, network, scale levels and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEYOND = 9e36
"""Finite floats of at least this size stand for "no data": programs round the lowest float32 in many ways, and netCDF
fills with 9.969e36."""

_FILL_VALUES = (-9999.0, -99999.0, -32767.0, -32768.0, 1e20)


def invalid_pixels(pixels: NDArray[np.generic], nodata: float | None = None) -> NDArray[np.bool_]:
    """Return which values hold no measurement, in the shape of `pixels`.

    Parameters
    ----------
    pixels : ndarray
        Values of an image.
    nodata : float, optional
        Value that the file declares as "no data"; NaN is possible.

    Returns
    -------
    ndarray of bool
        True for values equal to `nodata` in the type of the pixels, and for finite floats of 9e36 and beyond.

    Examples
    --------
    >>> invalid_pixels(np.array([1.0, -3.4028e38, -9999.0]), nodata=-9999).tolist()
    [False, True, True]
    """
    kind = pixels.dtype.kind
    invalid: NDArray[np.bool_] = np.zeros(pixels.shape, bool)
    if kind == "f":
        if pixels.dtype.itemsize > 2:
            invalid = (np.abs(pixels) >= BEYOND) & np.isfinite(pixels)
        if nodata is None:
            return invalid
        if np.isnan(nodata):
            missing: NDArray[np.bool_] = invalid | np.isnan(pixels)
            return missing
        with np.errstate(over="ignore"):
            invalid |= pixels == pixels.dtype.type(nodata)
    elif kind in "iu" and nodata is not None and float(nodata).is_integer():
        limits = np.iinfo(pixels.dtype)  # type: ignore[type-var]
        if limits.min <= nodata <= limits.max:
            invalid = np.asarray(pixels == pixels.dtype.type(int(nodata)))
    return invalid


def without_fill_value(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Leave out a well-known fill value that a file did not declare, if it lies far from all other values.

    Parameters
    ----------
    values : ndarray
        (n,) values of one channel.

    Examples
    --------
    >>> without_fill_value(np.float32([-9999, 3, 5])).tolist()
    [3.0, 5.0]
    >>> without_fill_value(np.float32([-9999, -9000, 5])).tolist()
    [-9999.0, -9000.0, 5.0]
    """
    for fill in _FILL_VALUES:
        is_fill = values == fill
        if not is_fill.any() or is_fill.all():
            continue
        rest: NDArray[np.float32] = values[~is_fill]
        low, high = float(rest.min()), float(rest.max())
        if max(low - fill, fill - high) > high - low:
            return rest
    return values
