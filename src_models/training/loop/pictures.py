"""Pictures of predictions, with the outlines of masks and the clicks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TRUTH, _PREDICTED, _CLICKS = (255, 220, 0), (0, 200, 255), {1: (0, 255, 0), 0: (255, 0, 0)}


def prediction_picture(
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    points: list[tuple[int, int, int]],
) -> NDArray[np.uint8]:
    """Draw outlines of the true (yellow) and predicted (blue) mask and the clicks (green, red).

    Parameters
    ----------
    image : ndarray of uint8
        (S, S, 3).
    truth, predicted : ndarray of bool
        (S, S).
    points : list of (int, int, int)
        (y, x, label) of each click.

    Returns
    -------
    ndarray of uint8
        (S, S, 3).
    """
    out = image.copy()
    for mask, colour in ((truth, _TRUTH), (predicted, _PREDICTED)):
        inner = mask.copy()
        inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        inner[[0, -1]] = inner[:, [0, -1]] = False
        out[mask & ~inner] = colour
    for y, x, label in points:
        out[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = _CLICKS[label]
    return out
