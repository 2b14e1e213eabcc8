"""Scores of the boundary benchmark from its pixel counts: ODS, OIS, AP and R50."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIXTURES = 101  # interpolated points between neighbouring thresholds


@dataclass(frozen=True)
class EdgeScores:
    """Scores of the boundary benchmark.

    Attributes
    ----------
    ods, ois : float
        F-measure at the best threshold of the data set, and at the best threshold of each image.
    ap : float
        Area under the curve of precision over recall; recalls that are not reached count as 0.
    r50 : float
        Recall at a precision of one half.
    """

    ods: float
    ois: float
    ap: float
    r50: float


def edge_scores(counts: NDArray[np.integer]) -> EdgeScores:
    """Compute the scores of a data set.

    Parameters
    ----------
    counts : ndarray of int
        (I, 4, T) `EdgeCounts.as_array` of each image.

    Raises
    ------
    EvaluationError
        If there is no image.

    Notes
    -----
    F-measure, ODS and OIS follow Arbelaez et al. (2011): precision and recall are interpolated between thresholds.

    Examples
    --------
    >>> edge_scores(np.array([[[5, 2], [10, 10], [5, 2], [5, 2]]])).ods.__round__(3)
    0.667
    """
    if counts.ndim != 3 or not len(counts):
        raise EvaluationError(
            f"counts of shape {counts.shape}", remedy="give (images, 4, thresholds) with at least one image"
        )
    total = counts.sum(0)
    ois = f_measure(*recall_precision(counts_at_best_threshold(counts).sum(0)))
    area, half = areas_under_curve(total[None]), recall_at_half(total[None])
    return EdgeScores(float(best_f_measure(total[None])[0]), float(ois[0]), float(area[0]), float(half[0]))


def counts_at_best_threshold(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the counts (I, 4, 1) of each image at its own best threshold, from counts (I, 4, T)."""
    best = f_measure(*recall_precision(counts)).argmax(-1)
    return np.take_along_axis(counts, best[:, None, None], axis=2)


def areas_under_curve(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the AP (B,) of counts (B, 4, T)."""
    return np.array([_area(r, p) for r, p in zip(*recall_precision(counts), strict=True)])


def recall_at_half(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the R50 (B,) of counts (B, 4, T)."""
    return np.array([_recall_at_half(r, p) for r, p in zip(*recall_precision(counts), strict=True)])


def recall_precision(counts: NDArray[np.number]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall and precision, each (..., T), of counts (..., 4, T)."""
    matched_true, true, matched_predicted, predicted = np.moveaxis(np.asarray(counts, float), -2, 0)
    return matched_true / np.maximum(true, 1), matched_predicted / np.maximum(predicted, 1)


def f_measure(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the harmonic mean of recall and precision; 0 where both are 0."""
    total = recall + precision
    return np.asarray(2 * recall * precision / np.where(total > 0, total, 1))


def best_f_measure(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the best F-measure (B,) over thresholds and interpolated points, of counts (B, 4, T)."""
    recall, precision = recall_precision(counts)
    best = f_measure(recall, precision).max(-1)
    for share in np.linspace(0, 1, _MIXTURES)[1:-1]:
        mixed = (share * v[:, 1:] + (1 - share) * v[:, :-1] for v in (recall, precision))
        best = np.maximum(best, f_measure(*mixed).max(-1, initial=0.0))
    return np.asarray(best)


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Return the sum of precisions at recalls 0.00, 0.01, ... 1.00, times 0.01; 0 outside the reached recalls."""
    reached, first = np.unique(recall, return_index=True)
    if len(reached) < 2:
        return 0.0
    sampled = np.interp(np.linspace(0, 1, 101), reached, precision[first], left=0.0, right=0.0)
    return float(sampled.sum() * 0.01)


def _recall_at_half(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    reached, first = np.unique(precision, return_index=True)
    return float(np.interp(max(reached[0], 0.5), reached, recall[first]))
