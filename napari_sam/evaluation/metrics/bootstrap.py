"""How sure a number is: bootstrap over images, paired comparisons, and what an interval says."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

REPEATS = 2000
CONFIDENCE = 0.95

_FEW = 5  # images below which the percentiles of a bootstrap fall short


@dataclass(frozen=True)
class Interval:
    """A number with its confidence interval.

    Attributes
    ----------
    value : float
        The number; NaN where it is not defined.
    low, high : float
        The interval; NaN where it is not defined.
    n, images : int
        What it is a mean of, and in how many images.
    note : str
        Why something is not defined.
    """

    value: float
    low: float
    high: float
    n: int
    images: int
    note: str = ""

    def overlaps(self, other: Interval) -> bool | None:
        """Whether the intervals have a number in common; None where one is not defined."""
        if not all(math.isfinite(v) for v in (self.low, self.high, other.low, other.high)):
            return None
        return self.low <= other.high and other.low <= self.high


def bootstrap_mean(
    values: ArrayLike, images: Sequence[object], *, seed: int = 0, confidence: float = CONFIDENCE
) -> Interval:
    """Mean over objects, with an interval by resampling images: objects of one image are no independent evidence.

    Parameters
    ----------
    values : array_like
        (N,) of each object.
    images : sequence
        (N,) in which image it is.
    seed : int
        Of the resampling.
    confidence : float
        Of the interval (percentiles).

    Raises
    ------
    EvaluationError
        If values are no numbers, or there are not as many images.

    Examples
    --------
    >>> interval = bootstrap_mean([0.0, 1.0, 1.0, 1.0], ["a", "a", "b", "b"])
    >>> interval.value, interval.images, interval.low >= 0.5
    (0.75, 2, True)
    >>> bootstrap_mean([0.5], ["a"]).note
    'one image: the interval is not defined'
    """
    return bootstrap_strata([(values, images)], seed=seed, confidence=confidence)


def bootstrap_strata(
    strata: Sequence[tuple[ArrayLike, Sequence[object]]], *, seed: int = 0, confidence: float = CONFIDENCE
) -> Interval:
    """Mean of the means of several data sets, images resampled within each.

    Parameters
    ----------
    strata : sequence of (array_like, sequence)
        Values and images of each data set, as `bootstrap_mean` takes them.
    seed, confidence
        As in `bootstrap_mean`.

    Notes
    -----
    A data set of one image cannot vary; it is counted as fixed, and the note says so.
    """
    tables = [_per_image(*one) for one in strata]
    tables = [one for one in tables if len(one)]
    if not tables:
        return Interval(math.nan, math.nan, math.nan, 0, 0, "nothing to measure: not defined")
    value = float(np.mean([t[:, 0].sum() / t[:, 1].sum() for t in tables]))
    n, images = int(sum(t[:, 1].sum() for t in tables)), sum(len(t) for t in tables)
    single = sum(len(t) == 1 for t in tables)
    if single == len(tables):
        note = (
            "one image: the interval is not defined" if images == 1 else "one image each: the interval is not defined"
        )
        return Interval(value, math.nan, math.nan, n, images, note)
    rng = np.random.default_rng([seed, zlib.crc32(b"bootstrap")])
    draws = np.mean([_draws(t, rng) for t in tables], axis=0)
    low, high = _percentiles(draws, confidence)
    note = f"{single} data set(s) of one image are counted as fixed" if single else ""
    if len(tables) == 1 and images < _FEW:
        note = f"{images} images: the interval is too narrow"
    return Interval(value, low, high, n, images, note)


def bootstrap_statistic(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    per_image: NDArray[np.number],
    *,
    n: int | None = None,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Any number that comes from sums over images.

    Parameters
    ----------
    statistic : callable
        Takes sums (B, ...) and gives numbers (B,).
    per_image : ndarray
        (I, ...) what is summed.
    n : int, optional
        What to report as number of things; images by default.
    seed, confidence
        As in `bootstrap_mean`.
    """
    table = np.asarray(per_image, np.float64)
    count = len(table)
    if not count:
        return Interval(math.nan, math.nan, math.nan, 0, 0, "nothing to measure: not defined")
    value = float(statistic(table.sum(0)[None])[0])
    if count == 1:
        return Interval(value, math.nan, math.nan, n or 1, 1, "one image: the interval is not defined")
    weights = resampling(count, np.random.default_rng([seed, zlib.crc32(b"bootstrap")]))
    flat = table.reshape(count, -1)
    draws = [statistic((w @ flat).reshape(len(w), *table.shape[1:])) for w in np.array_split(weights, 20)]
    return Interval(value, *_percentiles(np.concatenate(draws), confidence), n or count, count)


@dataclass(frozen=True)
class Difference:
    """Two sets of scores of the same things.

    Attributes
    ----------
    interval : Interval
        Of the mean difference, first minus second.
    better : float
        Share of the resamples in which the first is better.
    p_value : float
        Of the paired t test on the means of images; NaN where it is not defined.
    """

    interval: Interval
    better: float
    p_value: float


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    images: Sequence[object],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    repeats: int = REPEATS,
) -> Difference:
    """Compare two scores of each object: paired bootstrap over images, and paired t test.

    Parameters
    ----------
    first, second : array_like
        (N,) each.
    images : sequence
        (N,) what is resampled: the image of each object.
    seed, confidence
        As in `bootstrap_mean`.
    repeats : int
        Of the bootstrap.

    Raises
    ------
    EvaluationError
        If they differ in number, or are no numbers.
    """
    from scipy import stats  # noqa: PLC0415 - slow to import

    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise EvaluationError(f"{a.size} scores against {b.size}: a paired comparison needs both of each object")
    table = _per_image(a - b, images)
    if not len(table):
        nothing = Interval(math.nan, math.nan, math.nan, 0, 0, "nothing to compare: not defined")
        return Difference(nothing, math.nan, math.nan)
    value, n = float(table[:, 0].sum() / table[:, 1].sum()), int(table[:, 1].sum())
    if len(table) == 1:
        only = Interval(value, math.nan, math.nan, n, 1, "one image: the interval is not defined")
        return Difference(only, math.nan, math.nan)
    draws = _draws(table, np.random.default_rng([seed, zlib.crc32(b"paired")]), repeats)
    means = table[:, 0] / table[:, 1]
    error = float(means.std(ddof=1)) / math.sqrt(len(means))
    even = error < 1e-12  # all images differ alike
    t = (0.0 if abs(float(means.mean())) < 1e-12 else math.inf) if even else float(means.mean()) / error
    p_value = float(2 * stats.t.sf(abs(t), len(means) - 1))
    share = float(np.mean((draws > 0) + 0.5 * (draws == 0)))
    return Difference(Interval(value, *_percentiles(draws, confidence), n, len(table)), share, p_value)


def resampling(count: int, rng: np.random.Generator, repeats: int = REPEATS) -> NDArray[np.float64]:
    """How often each of `count` images is drawn in each repeat: (repeats, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), size=repeats).astype(np.float64)


def _draws(table: NDArray[np.float64], rng: np.random.Generator, repeats: int = REPEATS) -> NDArray[np.float64]:
    """Means of resampled images; a single image is always itself."""
    weights = resampling(len(table), rng, repeats)
    sums = weights @ table
    return np.asarray(sums[:, 0] / sums[:, 1])


def _per_image(values: ArrayLike, images: Sequence[object]) -> NDArray[np.float64]:
    """(I, 2) sum and number of the values of each image, in the order of their names."""
    known = np.asarray(values, np.float64)
    if known.ndim != 1 or len(known) != len(images):
        raise EvaluationError(f"{known.size} values in {len(images)} images: give the image of each value")
    if not np.isfinite(known).all():
        raise EvaluationError(
            f"value {int(np.argmin(np.isfinite(known)))} is {known[~np.isfinite(known)][0]}, no number"
        )
    names, index = np.unique(np.asarray([str(i) for i in images]), return_inverse=True)
    out = np.zeros((len(names), 2))
    np.add.at(out, index, np.column_stack([known, np.ones(len(known))]))
    return out


def _percentiles(draws: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return float(low), float(high)
