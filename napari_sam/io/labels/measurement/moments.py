"""Statistics and moments of objects that are read in pieces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.labels.measurement.properties import INTENSITY

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RunningStatistics:
    """Mean, extremes and standard deviation of values that come in pieces.

    Examples
    --------
    >>> statistics = RunningStatistics()
    >>> for piece in ([1, 2], [3, 6]):
    ...     statistics.add(np.array(piece))
    >>> [round(value, 3) for value in statistics.values().values()]
    [3.0, 1.0, 6.0, 1.871]
    """

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, values: NDArray[np.generic]) -> None:
        """Add a piece, by Chan's formula, which loses no digits."""
        if not len(values):
            return
        piece = values.astype(np.float64)
        mean, squares = float(piece.mean()), float(((piece - piece.mean()) ** 2).sum())
        total = self._count + len(piece)
        difference = mean - self._mean
        self._squares += squares + difference**2 * self._count * len(piece) / total
        self._mean += difference * len(piece) / total
        self._count = total
        self._low, self._high = min(self._low, float(piece.min())), max(self._high, float(piece.max()))

    def values(self) -> dict[str, float]:
        """Return the statistics by the name of their property; NaN without values."""
        if not self._count:
            return dict.fromkeys(INTENSITY, math.nan)
        deviation = math.sqrt(self._squares / max(1, self._count))
        return dict(zip(INTENSITY, (self._mean, self._low, self._high, deviation), strict=True))


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
