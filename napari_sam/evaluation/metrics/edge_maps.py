"""Boundary maps: Sobel and Canny as baselines, and the thinning by non-maximum suppression that all share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EIGHT = np.ones((3, 3), bool)
_LOW_SHARE = 0.4  # of Canny's upper threshold, as in MATLAB's edge
_LEVELS = 99


def gradient(grey: NDArray[np.floating], sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Size and direction (radians) of the gradient of a smoothed image (H, W)."""
    dy, dx = (ndimage.gaussian_filter(grey, sigma, order=order, mode="nearest") for order in ((1, 0), (0, 1)))
    return np.hypot(dy, dx), np.arctan2(dy, dx)


def edge_nms(edges: NDArray[np.floating], direction: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """Keep what is a maximum across the edge, as Canny (1986) does.

    Parameters
    ----------
    edges : ndarray of float
        (H, W) strength.
    direction : ndarray of float, optional
        (H, W) radians, of the line across the edge. By default that in which the smoothed map bends most.

    Returns
    -------
    ndarray of float64
        (H, W): the strength, or 0.
    """
    strength = np.asarray(edges, np.float64)
    across = _across(strength) if direction is None else direction
    dy, dx = np.sin(across), np.cos(across)
    rows, cols = np.indices(strength.shape)
    keep = np.ones(strength.shape, bool)
    for sign in (1, -1):
        beside = ndimage.map_coordinates(strength, [rows + sign * dy, cols + sign * dx], order=1, mode="nearest")
        keep &= strength >= beside
    return np.where(keep, strength, 0.0)


def _across(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direction in which a map of ridges bends most: the eigenvector of its Hessian's least eigenvalue."""
    second = {}
    for order in ((2, 0), (1, 1), (0, 2)):
        second[order] = ndimage.gaussian_filter(edges, 1.5, order=order, mode="nearest")
    yy, xy, xx = second.values()
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2)


def sobel_edges(grey: NDArray[np.floating], sigma: float = 1.0) -> NDArray[np.float64]:
    """Sobel's gradient of a smoothed grey image, thinned.

    Parameters
    ----------
    grey : ndarray of float
        (H, W) in [0, 1].
    sigma : float
        Of the smoothing, in pixels.

    Returns
    -------
    ndarray of float64
        (H, W) in [0, 1]: twice the change of brightness per pixel, the same for all images.
    """
    smooth = ndimage.gaussian_filter(np.asarray(grey, np.float64), sigma, mode="nearest")
    dy, dx = (ndimage.sobel(smooth, axis=axis, mode="nearest") / 4 for axis in (0, 1))
    return np.clip(2 * edge_nms(np.hypot(dy, dx), np.arctan2(dy, dx)), 0, 1)


def canny_edges(grey: NDArray[np.floating], sigma: float = 2.0) -> NDArray[np.float64]:
    """Canny's detector at every threshold at once: (H, W) in [0, 1].

    Parameters
    ----------
    grey : ndarray of float
        (H, W) in [0, 1].
    sigma : float
        Of the smoothing, in pixels.

    Returns
    -------
    ndarray of float64
        The highest upper threshold at which hysteresis keeps the pixel (the lower one is 0.4 of it); relative to the
        strongest gradient of the image.
    """
    size, direction = gradient(grey, sigma)
    thin = edge_nms(size, direction)
    thin /= max(float(thin.max()), 1e-12)
    out = np.zeros_like(thin)
    for level in np.linspace(1 / _LEVELS, 1, _LEVELS):
        parts, count = ndimage.label(thin >= _LOW_SHARE * level, _EIGHT)
        strong = ndimage.maximum(thin, parts, np.arange(1, count + 1)) >= level if count else np.zeros(0, bool)
        out[np.concatenate([[False], strong])[parts]] = level
    return out
