"""Moments of objects, from masks or runs of pixels, and the shape that they describe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.pixel_runs import PixelRuns


def mask_moments(mask: NDArray[np.bool_], y: float, x: float) -> NDArray[np.float64]:
    """Return the sums of 1, y, x, yy, yx and xx over a mask whose first pixel lies at (y, x)."""
    ys, xs = y + np.arange(mask.shape[0]), x + np.arange(mask.shape[1])
    per_row, per_column = mask.sum(1, dtype=np.float64), mask.sum(0, dtype=np.float64)
    x_sums = mask @ xs  # in each row
    return np.array([per_row.sum(), per_row @ ys, per_column @ xs, per_row @ ys**2, x_sums @ ys, per_column @ xs**2])


def shape_from_moments(sums: NDArray[np.float64], origin: tuple[float, float]) -> dict[str, float]:
    """Return the properties that scikit-image computes from moments, by column.

    Parameters
    ----------
    sums : ndarray of float
        As `mask_moments` returns them, around `origin`.
    origin : (float, float)
        (y, x), level-0 pixels.
    """
    n, y, x, yy, yx, xx = sums.tolist()
    cy, cx = y / n, x / n
    a, b, c = xx / n - cx**2, -(yx / n - cy * cx), yy / n - cy**2  # the inertia tensor (a, b; b, c)
    root = math.sqrt(4 * b**2 + (a - c) ** 2) / 2
    major, minor = (a + c) / 2 + root, max(0.0, (a + c) / 2 - root)
    orientation = 0.5 * math.atan2(-2 * b, c - a) if a != c else (math.pi / 4 if b < 0 else -math.pi / 4)
    return {
        "area_px": n,
        "centroid_y_px": cy + origin[0],
        "centroid_x_px": cx + origin[1],
        "eccentricity": math.sqrt(1 - minor / major) if major else 0.0,
        "orientation": orientation,
        "equivalent_diameter_px": math.sqrt(4 * n / math.pi),
    }


def run_moments(runs: PixelRuns, origin: tuple[float, float]) -> NDArray[np.float64]:
    """Return the sums of 1, y, x, yy, yx and xx over the pixels of runs along the rows, around `origin` (y, x).

    >>> from napari_sam.io.pixel_runs import PixelRuns
    >>> run_moments(PixelRuns(*np.array([[3], [4], [6]])), (3, 4)).tolist()
    [2.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """
    n = (runs.stop - runs.start).astype(np.float64)
    y = runs.line - origin[0]
    middle = (runs.start + runs.stop - 1) / 2 - origin[1]
    squares = n * middle**2 + n * (n**2 - 1) / 12  # of consecutive whole numbers around their middle
    return np.array([n.sum(), n @ y, n @ middle, n @ y**2, n @ (y * middle), squares.sum()])
