"""Interval of a share, such as that of masks that are right."""

from __future__ import annotations

import math

_Z95 = 1.959963984540054


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson (1927), which also suits shares near 0 and 1 and small samples.

    Parameters
    ----------
    count, total : int
        Number of those that have the property, and of all that were looked at; at least one.

    Examples
    --------
    >>> [round(side, 3) for side in wilson_interval(47, 50)]
    [0.838, 0.979]
    >>> wilson_interval(20, 20)[1]
    1.0
    """
    share, z2 = count / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return (0.0 if count == 0 else centre - half, 1.0 if count == total else centre + half)
