"""Simulate users: a first prompt for an object, then clicks where the mask is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOX_NOISE = 0.1
BOX_NOISE_MAX_PX = 20.0
_BORDER_DEPTH = 0.3  # of the deepest pixel; shallower pixels are near the border


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
    depth, (y0, x0) = _depths(region)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(y) + y0, int(x) + x0


def border_point(region: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    """Draw a uniform pixel (y, x) near the border of a region, but not on its outermost pixels if there are others.

    Parameters
    ----------
    region : ndarray of bool
        (H, W), with at least one pixel set.
    rng : numpy.random.Generator
        Draws the pixel.

    Examples
    --------
    >>> square = np.zeros((13, 13), bool)
    >>> square[1:12, 1:12] = True
    >>> y, x = border_point(square, np.random.default_rng(0))
    >>> min(y, x, 12 - y, 12 - x)
    2
    """
    depth, (y0, x0) = _depths(region)
    near = (depth > 1) & (depth <= max(_BORDER_DEPTH * float(depth.max()), 2.0))
    y, x = random_point(near if near.any() else depth > 0, rng)
    return y + y0, x + x0


def _depths(region: NDArray[np.bool_]) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the distances to the outside in the bounding box of a region, and the box's first pixel (y, x)."""
    rows, cols = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    y0, x0 = int(rows[0]), int(cols[0])
    box = np.pad(region[y0 : rows[-1] + 1, x0 : cols[-1] + 1], 1)
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(box)[1:-1, 1:-1]
    return depth, (y0, x0)


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
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], rng: np.random.Generator | None = None, border: bool = False
) -> tuple[int, int, int]:
    """Return the next click: in the error region, positive where the object was missed.

    Parameters
    ----------
    mask, truth : ndarray of bool
        (H, W).
    rng : numpy.random.Generator, optional
        Source of randomness for a uniform click in the whole error region (SAM's training); without it, the click is
        the deepest point of the deeper error region (SAM's evaluation).
    border : bool
        With `rng`, draw a click near the border of the deeper error region instead.

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
    if not (missed.any() or extra.any()):
        return (*deepest_point(truth), 1)
    if rng is not None and not border:
        y, x = random_point(missed | extra, rng)
        return y, x, int(truth[y, x])
    region, label, point = _deeper(missed, extra)
    y, x = point if rng is None else border_point(region, rng)
    return y, x, label


def _deeper(missed: NDArray[np.bool_], extra: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, tuple[int, int]]:
    """Return the deeper of two regions, not both empty, the label of a click in it, and its deepest point."""
    candidates = []
    for region, label in ((missed, 1), (extra, 0)):
        if region.any():
            depth, (y0, x0) = _depths(region)
            row, col = np.unravel_index(int(depth.argmax()), depth.shape)
            candidates.append((float(depth.max()), (int(row) + y0, int(col) + x0), label))
    _, point, label = max(candidates, key=lambda candidate: candidate[0])
    return (missed if label else extra), label, point
