"""Boundary maps: Sobel and Canny as baselines, and non-maximum suppression across edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
_CANNY_LOW = 0.4  # the lower threshold as a share of the upper one, as in MATLAB's edge
_CANNY_LEVELS = 99
_RIDGE_SIGMA_PX = 1.5


def gradient(grey: NDArray[np.floating], sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return magnitude and direction (radians) of the gradient of a smoothed image (H, W)."""
    dy, dx = (ndimage.gaussian_filter(grey, sigma, order=order, mode="nearest") for order in ((1, 0), (0, 1)))
    return np.hypot(dy, dx), np.arctan2(dy, dx)


def edge_nms(edges: NDArray[np.floating], direction: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """Suppress what is not a maximum across the edge, as Canny (1986) does.

    Parameters
    ----------
    edges : ndarray of float
        (H, W) edge strength.
    direction : ndarray of float, optional
        (H, W) direction across the edge, in radians. By default the direction of the strongest curvature of the
        smoothed map.

    Returns
    -------
    ndarray of float64
        (H, W) strength at maxima, 0 elsewhere.
    """
    strength = np.asarray(edges, np.float64)
    across = _ridge_normal(strength) if direction is None else direction
    dy, dx = np.sin(across), np.cos(across)
    rows, cols = np.indices(strength.shape)
    is_maximum = np.ones(strength.shape, bool)
    for sign in (1, -1):
        neighbour = ndimage.map_coordinates(strength, [rows + sign * dy, cols + sign * dx], order=1, mode="nearest")
        is_maximum &= strength >= neighbour
    return np.where(is_maximum, strength, 0.0)


def _ridge_normal(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction across ridges: the eigenvector of the Hessian's smallest eigenvalue, in radians."""
    yy, xy, xx = (
        ndimage.gaussian_filter(edges, _RIDGE_SIGMA_PX, order=order, mode="nearest")
        for order in ((2, 0), (1, 1), (0, 2))
    )
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2)


def sobel_edges(grey: NDArray[np.floating], sigma: float = 1.0) -> NDArray[np.float64]:
    """Return Sobel's gradient of a smoothed grey image, thinned by `edge_nms`.

    Parameters
    ----------
    grey : ndarray of float
        (H, W) in [0, 1].
    sigma : float
        Standard deviation of the smoothing, in pixels.

    Returns
    -------
    ndarray of float64
        (H, W) in [0, 1]: twice the change of brightness per pixel, on the same scale for all images.
    """
    smooth = ndimage.gaussian_filter(np.asarray(grey, np.float64), sigma, mode="nearest")
    dy, dx = (ndimage.sobel(smooth, axis=axis, mode="nearest") / 4 for axis in (0, 1))
    return np.clip(2 * edge_nms(np.hypot(dy, dx), np.arctan2(dy, dx)), 0, 1)


def canny_edges(grey: NDArray[np.floating], sigma: float = 2.0) -> NDArray[np.float64]:
    """Return Canny's edges for all thresholds at once; parameters as `sobel_edges`.

    Returns
    -------
    ndarray of float64
        (H, W) in [0, 1]: the highest upper threshold at which hysteresis keeps the pixel (the lower threshold is 0.4
        of it), relative to the strongest gradient of the image.
    """
    size, direction = gradient(grey, sigma)
    thin = edge_nms(size, direction)
    thin /= max(float(thin.max()), 1e-12)
    edges = np.zeros_like(thin)
    for level in np.linspace(1 / _CANNY_LEVELS, 1, _CANNY_LEVELS):
        parts, count = ndimage.label(thin >= _CANNY_LOW * level, _EIGHT_NEIGHBOURS)
        strong = ndimage.maximum(thin, parts, np.arange(1, count + 1)) >= level if count else np.zeros(0, bool)
        edges[np.concatenate([[False], strong])[parts]] = level
    return edges
