"""Share the crops of an optimiser step among the data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GOLDEN = (5**0.5 - 1) / 2


def balanced_sources(shares: NDArray[np.float64], crops: int, step: int, seed: int) -> NDArray[np.int64]:
    """Choose the data set of every crop of an optimiser step by systematic sampling.

    The crops are equally spaced points on a line on which every data set has a piece as long as its share, so that it
    gets its share of the crops of the step, rounded up or down. Multiples of the golden ratio shift the points from
    step to step, so that the shares also hold over few steps. In short: no data set is left out for long, and none
    with a share of at least 1 / `crops` is left out at all.

    Parameters
    ----------
    shares : ndarray of float64
        (n,) shares of the data sets, with sum 1.
    crops : int
        Crops of a step.
    step : int
        Number of the step; the result depends on nothing that happened before, so that runs can be resumed.
    seed : int
        Seed of the run.

    Returns
    -------
    ndarray of int64
        (crops,) indices of data sets, in random order.

    Examples
    --------
    >>> chosen = balanced_sources(np.array([0.5, 0.25, 0.25]), 8, step=3, seed=0)
    >>> np.bincount(chosen).tolist()
    [4, 2, 2]
    """
    rng = np.random.default_rng([seed, 3, step])
    first = np.random.default_rng([seed, 3]).random()
    points = (np.arange(crops) + (first + step * _GOLDEN) % 1) / crops
    ends = np.cumsum(shares)
    chosen = np.searchsorted(ends / ends[-1], points, side="right").clip(max=len(shares) - 1)
    return rng.permutation(chosen)
