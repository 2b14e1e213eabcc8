"""Average precision with its interval: images are resampled, and the precision is accumulated again each time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.evaluation.metrics.bootstrap import Interval, percentile_interval, resampling_weights
from napari_sam.evaluation.metrics.coco_metrics import average_precision, match_categories

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.metrics.coco_metrics import CategoryMatches, ImageEntry

_RESAMPLES = 100
_MAX_DETECTIONS, _LVIS_MAX_DETECTIONS = 100, 300
_MAX_PAIRS = 20_000  # of images and categories that are resampled
_FREQUENCY_METRICS = {"f": "AP frequent", "c": "AP common", "r": "AP rare"}


@dataclass(frozen=True)
class ResampledPrecision:
    """A metric of a data set, and its values in resamples of the images.

    Attributes
    ----------
    value : float
        The metric; NaN if undefined.
    draws : ndarray of float or None
        (R,) its values in resamples; None if the images are not resampled.
    n, images : int
        Number of objects and of images.
    note : str
        Why something is undefined.
    """

    value: float
    draws: NDArray[np.float64] | None
    n: int
    images: int
    note: str

    def interval(self) -> Interval:
        """Return the metric with its confidence interval."""
        low, high = math.nan, math.nan
        if self.draws is not None and not np.isnan(self.draws).all():
            low, high = percentile_interval(self.draws)
        return Interval(self.value, low, high, self.n, self.images, self.note)


def mean_precision(precisions: Sequence[ResampledPrecision]) -> ResampledPrecision:
    """Return the mean over data sets, each resampled independently; one that is not resampled counts as fixed."""
    draws = np.stack([np.full(_RESAMPLES, p.value) if p.draws is None else p.draws for p in precisions])
    filled = np.where(np.isnan(draws), np.array([[p.value] for p in precisions]), draws).mean(0)
    fixed = sum(p.draws is None for p in precisions)
    note = f"mean of {len(precisions)} data sets" + (f", {fixed} of them counted as fixed" if fixed else "")
    return ResampledPrecision(
        float(np.mean([p.value for p in precisions])),
        filled if fixed < len(precisions) else None,
        sum(p.n for p in precisions),
        sum(p.images for p in precisions),
        note,
    )


def resampled_precisions(images: Sequence[ImageEntry], seed: int) -> dict[str, ResampledPrecision]:
    """Return the average precisions of one data set, by name.

    Parameters
    ----------
    images : sequence of ImageEntry
        True objects and predicted masks; LVIS's average precisions by frequency are added if the objects have
        frequencies.
    seed : int
        Seed of the bootstrap.
    """
    frequencies = {o["category"]: o.get("frequency", "") for image in images for o in image["objects"]}
    names = sorted(frequencies | {d["category"]: "" for image in images for d in image["found"]})
    is_lvis = any(frequencies.values())
    if is_lvis:  # 300 masks of an image count, of all categories together
        images = [_keep_best(image, _LVIS_MAX_DETECTIONS) for image in images]
    matches = match_categories(images, names, _LVIS_MAX_DETECTIONS if is_lvis else _MAX_DETECTIONS)
    groups = _frequency_groups(frequencies)

    def precisions(weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        grouped = {metric: average_precision(matches, weights, group)["AP"] for metric, group in groups.items()}
        return average_precision(matches, weights) | grouped

    count = sum(not o["crowd"] for image in images for o in image["objects"])
    draws, reason = _resample(matches, len(images), seed, precisions)
    return {
        metric: ResampledPrecision(
            value,
            draws.get(metric),
            count,
            len(images),
            "no such object: not defined" if math.isnan(value) else reason,
        )
        for metric, value in precisions().items()
    }


def _keep_best(image: ImageEntry, limit: int) -> ImageEntry:
    """Keep the masks with the best scores."""
    return {**image, "found": sorted(image["found"], key=lambda entry: -entry["score"])[:limit]}


def _frequency_groups(frequencies: dict[str, str]) -> dict[str, set[str]]:
    """Return the categories of each frequency, by the name of their metric."""
    groups = {metric: {k for k, f in frequencies.items() if f == key} for key, metric in _FREQUENCY_METRICS.items()}
    return {metric: group for metric, group in groups.items() if group}


def _resample(
    matches: Sequence[CategoryMatches],
    count: int,
    seed: int,
    precisions: Callable[[NDArray[np.float64]], dict[str, float]],
) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Return metrics in resamples of the images, or the reason why there are none."""
    if count < 2:
        return {}, "one image: the interval is not defined"
    if sum(len(m.images) for m in matches) > _MAX_PAIRS:
        return {}, "so many images and categories are not resampled: no interval"
    rng = np.random.default_rng([seed, 7])
    rows = [precisions(weights) for weights in resampling_weights(count, rng, _RESAMPLES)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}, ""
