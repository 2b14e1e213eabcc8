"""How long people took for the objects that they prompted."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class TimePerObject:
    """Time that people took for objects.

    Attributes
    ----------
    objects : int
        Number of objects whose time was measured.
    median_s : float or None
        Median of their seconds; None without any.
    total_s : float
        Sum of their seconds.
    """

    objects: int
    median_s: float | None
    total_s: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> TimePerObject:
        """Summarise the seconds of objects.

        >>> TimePerObject.of([2.0, 3.0, 10.0])
        TimePerObject(objects=3, median_s=3.0, total_s=15.0)
        """
        values = list(seconds)
        return cls(len(values), statistics.median(values) if values else None, sum(values))
