"""Confidence intervals by bootstrap over images, and paired comparisons."""

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

RESAMPLES = 2000
CONFIDENCE = 0.95

_FEW_IMAGES = 5  # with fewer images, the percentiles of a bootstrap are too narrow


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    value : float
        The estimate; NaN if undefined.
    low, high : float
        Ends of the interval; NaN if undefined.
    n, images : int
        Number of values, and of images they come from.
    note : str
        Why something is undefined, or what limits the interval.
    """

    value: float
    low: float
    high: float
    n: int
    images: int
    note: str = ""

    def overlaps(self, other: Interval) -> bool | None:
        """Whether the intervals overlap; None if one is undefined."""
        if not all(math.isfinite(v) for v in (self.low, self.high, other.low, other.high)):
            return None
        return self.low <= other.high and other.low <= self.high


def bootstrap_mean(
    values: ArrayLike, images: Sequence[object], *, seed: int = 0, confidence: float = CONFIDENCE
) -> Interval:
    """Return the mean over objects, with an interval by resampling images.

    Images are resampled, not objects, since objects of one image are not independent.

    Parameters
    ----------
    values : array_like
        (N,) value of each object.
    images : sequence
        (N,) image of each object.
    seed : int
        Seed of the resampling.
    confidence : float
        Confidence level of the interval, by percentiles.

    Raises
    ------
    EvaluationError
        If a value is not finite, or there are not as many images.

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
    """Return the mean of the means of several data sets, with images resampled within each.

    Parameters
    ----------
    strata : sequence of (array_like, sequence)
        Values and images of each data set, as `bootstrap_mean` takes them.
    seed, confidence
        As in `bootstrap_mean`.

    Notes
    -----
    A data set of one image cannot be resampled; it counts as fixed, which the note mentions.
    """
    tables = [table for stratum in strata if len(table := _per_image(*stratum))]
    if not tables:
        return _undefined("nothing to measure: not defined")
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
    low, high = percentile_interval(draws, confidence)
    note = f"{single} data set(s) of one image are counted as fixed" if single else ""
    if len(tables) == 1 and images < _FEW_IMAGES:
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
    """Return a statistic of sums over images, with its interval.

    Parameters
    ----------
    statistic : callable
        Maps sums (B, ...) to values (B,).
    per_image : ndarray
        (I, ...) summands of each image.
    n : int, optional
        Number of values to report; that of images by default.
    seed, confidence
        As in `bootstrap_mean`.
    """
    table = np.asarray(per_image, np.float64)
    count = len(table)
    if not count:
        return _undefined("nothing to measure: not defined")
    value = float(statistic(table.sum(0)[None])[0])
    if count == 1:
        return Interval(value, math.nan, math.nan, n or 1, 1, "one image: the interval is not defined")
    weights = resampling_weights(count, np.random.default_rng([seed, zlib.crc32(b"bootstrap")]))
    flat = table.reshape(count, -1)
    draws = [statistic((w @ flat).reshape(len(w), *table.shape[1:])) for w in np.array_split(weights, 20)]
    return Interval(value, *percentile_interval(np.concatenate(draws), confidence), n or count, count)


@dataclass(frozen=True)
class PairedDifference:
    """The difference of two scores of the same objects.

    Attributes
    ----------
    interval : Interval
        Mean difference, first minus second.
    better : float
        Share of the resamples in which the first is better.
    p_value : float
        P value of the paired t test on the means of images; NaN if undefined.
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
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """Compare two scores of each object by a paired bootstrap over images and a paired t test.

    Parameters
    ----------
    first, second : array_like
        (N,) scores of each object.
    images : sequence
        (N,) image of each object.
    seed, confidence
        As in `bootstrap_mean`.
    resamples : int
        Number of resamples.

    Raises
    ------
    EvaluationError
        If the scores differ in number, or are not finite.
    """
    from scipy import stats  # noqa: PLC0415 - slow to import

    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise EvaluationError(f"{a.size} scores against {b.size}", remedy="give both scores of each object")
    table = _per_image(a - b, images)
    if not len(table):
        return PairedDifference(_undefined("nothing to compare: not defined"), math.nan, math.nan)
    value, n = float(table[:, 0].sum() / table[:, 1].sum()), int(table[:, 1].sum())
    if len(table) == 1:
        only = Interval(value, math.nan, math.nan, n, 1, "one image: the interval is not defined")
        return PairedDifference(only, math.nan, math.nan)
    draws = _draws(table, np.random.default_rng([seed, zlib.crc32(b"paired")]), resamples)
    means = table[:, 0] / table[:, 1]
    error = float(means.std(ddof=1)) / math.sqrt(len(means))
    if error < 1e-12:  # the difference is the same in all images
        t = 0.0 if abs(float(means.mean())) < 1e-12 else math.inf
    else:
        t = float(means.mean()) / error
    p_value = float(2 * stats.t.sf(abs(t), len(means) - 1))
    share = float(np.mean((draws > 0) + 0.5 * (draws == 0)))
    return PairedDifference(Interval(value, *percentile_interval(draws, confidence), n, len(table)), share, p_value)


def resampling_weights(count: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """Return how often each of `count` images is drawn in each resample: (resamples, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)


def percentile_interval(draws: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the ends of a confidence interval from the values in resamples; NaNs are ignored."""
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def _undefined(note: str) -> Interval:
    return Interval(math.nan, math.nan, math.nan, 0, 0, note)


def _draws(table: NDArray[np.float64], rng: np.random.Generator, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """Return the means of resampled images; a single image always stays the same."""
    weights = resampling_weights(len(table), rng, resamples)
    sums = weights @ table
    return np.asarray(sums[:, 0] / sums[:, 1])


def _per_image(values: ArrayLike, images: Sequence[object]) -> NDArray[np.float64]:
    """Return sum and number of the values of each image (I, 2), in the order of the images' names."""
    known = np.asarray(values, np.float64)
    if known.ndim != 1 or len(known) != len(images):
        raise EvaluationError(f"{known.size} values in {len(images)} images", remedy="give the image of each value")
    finite = np.isfinite(known)
    if not finite.all():
        raise EvaluationError(f"value {int(np.argmin(finite))} is {known[~finite][0]}", remedy="give finite values")
    names, index = np.unique(np.asarray([str(i) for i in images]), return_inverse=True)
    table = np.zeros((len(names), 2))
    np.add.at(table, index, np.column_stack([known, np.ones(len(known))]))
    return table
