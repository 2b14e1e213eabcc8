"""Statistics of objects that are read in pieces."""

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
