"""Whether a channel that a file declares as alpha holds transparency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPAQUE = 255  # least value of opaque pixels, also in pictures of 16 bits
_DECIDED = 0.8  # least share of values that are 0 or the largest


def is_transparency(values: NDArray[np.generic]) -> bool:
    """Return whether values are those of an alpha channel.

    Some libraries declare the fourth channel of any picture as alpha, whatever it holds. In an alpha channel few values
    lie between none and all; one that is 0 everywhere was never filled.

    Parameters
    ----------
    values : ndarray
        The channel, or a sample of it.

    Examples
    --------
    >>> is_transparency(np.array([0, 0, 255], np.uint8)), is_transparency(np.arange(256, dtype=np.uint8))
    (True, False)
    """
    if not values.any():
        return False
    opaque = values.max()
    if values.dtype.kind in "iu" and opaque < _OPAQUE:  # such as a mask of 0 and 1
        return False
    return float(np.mean((values == 0) | (values == opaque))) >= _DECIDED
