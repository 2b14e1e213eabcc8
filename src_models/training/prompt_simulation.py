"""Simulate users: a first prompt for an object, then clicks where the mask is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOX_NOISE = 0.1
BOX_NOISE_MAX_PX = 20.0


def deepest_point(region: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the pixel of a region that is farthest from its outside, which includes the image border.

    Parameters
    ----------
    region : ndarray of bool
        (H, W), with at least one pixel set.

    Returns
    -------
    (int, int)
        (y, x).

    Examples
    --------
    >>> square = np.zeros((7, 7), bool)
    >>> square[1:6, 0:5] = True
    >>> deepest_point(square)
    (3, 2)
    """
    rows, cols = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    y0, x0 = int(rows[0]), int(cols[0])
    box = np.pad(region[y0 : rows[-1] + 1, x0 : cols[-1] + 1], 1)
    depth = ndimage.distance_transform_edt(box)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(y) - 1 + y0, int(x) - 1 + x0


def random_point(region: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    """Draw a uniform pixel (y, x) of a region."""
    inside = np.flatnonzero(region)
    y, x = divmod(int(inside[rng.integers(len(inside))]), region.shape[1])
    return y, x


def noisy_box(
    region: NDArray[np.bool_], rng: np.random.Generator, noise: float = BOX_NOISE
) -> tuple[float, float, float, float]:
    """Return the bounding box of a region, with Gaussian noise on every side.

    Parameters
    ----------
    region : ndarray of bool
        (H, W), not empty.
    rng : numpy.random.Generator
        Source of the noise.
    noise : float
        Standard deviation as a share of the side, at most 20 px (appendix A of the paper).

    Returns
    -------
    (float, float, float, float)
        (y0, x0, y1, x1), half-open, clipped to the image.
    """
    rows, cols = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = np.array([rows[0], cols[0], rows[-1] + 1, cols[-1] + 1], dtype=float)
    side = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    sigma = np.minimum(noise * side, BOX_NOISE_MAX_PX)
    moved = box + np.clip(rng.normal(size=4) * sigma, -BOX_NOISE_MAX_PX, BOX_NOISE_MAX_PX)
    limit = np.array([*region.shape, *region.shape], dtype=float)
    moved = np.clip(moved, 0, limit)
    if moved[2] - moved[0] < 1 or moved[3] - moved[1] < 1:
        moved = box
    y0, x0, y1, x1 = (float(v) for v in moved)
    return y0, x0, y1, x1


def correction(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], rng: np.random.Generator | None = None
) -> tuple[int, int, int]:
    """Return the next click: in the error region, positive where the object was missed.

    Parameters
    ----------
    mask, truth : ndarray of bool
        (H, W).
    rng : numpy.random.Generator, optional
        Source of randomness for a uniform click in the whole error region (SAM's training); without it, the click is
        the deepest point of the deeper error region (SAM's evaluation).

    Returns
    -------
    (int, int, int)
        (y, x, label). A perfect mask gets a positive click at the object's deepest point.

    Examples
    --------
    >>> truth = np.zeros((5, 9), bool)
    >>> truth[:, 0:7] = True
    >>> mask = np.zeros((5, 9), bool)
    >>> mask[:, 0:2] = True
    >>> correction(mask, truth)
    (2, 4, 1)
    """
    missed, extra = truth & ~mask, mask & ~truth
    if rng is not None:
        wrong = missed | extra
        if wrong.any():
            y, x = random_point(wrong, rng)
            return y, x, int(truth[y, x])
    else:
        best = (0.0, 0, 0, 1)
        for region, label in ((missed, 1), (extra, 0)):
            if region.any():
                y, x = deepest_point(region)
                depth = _depth_at(region, y, x)
                best = max(best, (depth, y, x, label), key=lambda b: b[0])
        if best[0] > 0:
            return best[1], best[2], best[3]
    return (*deepest_point(truth), 1)


def _depth_at(region: NDArray[np.bool_], y: int, x: int) -> float:
    """Return the distance from a pixel of a region to its outside."""
    outside = np.pad(~region, 1, constant_values=True)
    rows, cols = np.nonzero(outside)
    return float(np.sqrt(((rows - 1 - y) ** 2 + (cols - 1 - x) ** 2).min()))
