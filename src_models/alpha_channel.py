"""Alpha channels: which channel a TIFF declares as one, and whether it holds transparency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tifffile
    from numpy.typing import NDArray

_ALPHA = (1, 2)  # values of TIFF's ExtraSamples: associated and unassociated
_OPAQUE = 255  # opaque also in some pictures of 16 bits
_DECIDED = 0.8  # least share of the values above 0 that are opaque


def alpha_sample(page: tifffile.TiffPage) -> int | None:
    """Return the index of the alpha channel that a page of a TIFF declares; None without one."""
    extra = [int(kind) for kind in page.extrasamples]
    first = int(page.samplesperpixel) - len(extra)
    return next((first + i for i, kind in enumerate(extra) if kind in _ALPHA), None)


def is_transparency(values: NDArray[np.generic]) -> bool:
    """Return whether values are those of an alpha channel.

    Some libraries declare the fourth channel of any picture as alpha, whatever it holds. In an alpha channel, most
    values above 0 are fully opaque. One that is 0 everywhere was never filled, and one that is never 0 masks nothing.

    Parameters
    ----------
    values : ndarray
        The channel, or a sample of it.

    Examples
    --------
    >>> is_transparency(np.array([0, 0, 255], np.uint8)), is_transparency(np.arange(256, dtype=np.uint8))
    (True, False)
    """
    visible = values[values != 0]
    if not 0 < visible.size < values.size:
        return False
    opaque = float(visible.max())
    if opaque not in ((1.0,) if values.dtype.kind == "f" else (_OPAQUE, np.iinfo(values.dtype).max)):  # type: ignore[type-var]
        return False
    return float(np.mean(visible == opaque)) >= _DECIDED
