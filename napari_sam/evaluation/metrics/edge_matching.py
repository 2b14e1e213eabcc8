"""The boundary benchmark of the Berkeley segmentation data set: thinning and one-to-one matching at all thresholds.

Martin, Fowlkes and Malik (2004) and Arbelaez et al. (2011): a boundary map is thresholded at 99 levels, each binary map
is thinned, and its pixels are matched one to one to those of every annotator, within 0.75 % of the image's diagonal.
Precision counts the pixels that are matched to any annotator, recall the annotators' pixels that are matched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.bipartite_matching import maximum_matching
from napari_sam.evaluation.metrics.edge_thinning import thin_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGE_THRESHOLD_COUNT = 99
MAX_DISTANCE = 0.0075
"""Distance within which pixels may be matched, as a share of the image's diagonal."""


@dataclass(frozen=True)
class EdgeCounts:
    """The pixel counts of one image at each threshold; all (T,) int64.

    Attributes
    ----------
    matched_true, true : ndarray
        Matched pixels of all annotators, and all their pixels; their ratio is the recall.
    matched_predicted, predicted : ndarray
        Pixels of the thinned map that are matched to any annotator, and all its pixels; their ratio is the precision.
    """

    matched_true: NDArray[np.int64]
    true: NDArray[np.int64]
    matched_predicted: NDArray[np.int64]
    predicted: NDArray[np.int64]

    def as_array(self) -> NDArray[np.int64]:
        """Return the counts as (4, T), in the order of the attributes."""
        return np.stack([self.matched_true, self.true, self.matched_predicted, self.predicted])


def edge_thresholds(count: int = EDGE_THRESHOLD_COUNT) -> NDArray[np.float64]:
    """Return the thresholds 1 / (count + 1) to count / (count + 1)."""
    return np.linspace(1 / (count + 1), 1 - 1 / (count + 1), count)


def edge_counts(
    edges: NDArray[np.floating],
    truth: NDArray[np.bool_],
    thresholds: NDArray[np.float64] | None = None,
    max_distance: float = MAX_DISTANCE,
) -> EdgeCounts:
    """Compare a boundary map with those that people drew.

    Parameters
    ----------
    edges : ndarray of float
        (H, W) edge strength in [0, 1]; should be thinned by `edge_nms`.
    truth : ndarray of bool
        (A, H, W) boundaries of each annotator, one pixel wide.
    thresholds : ndarray of float, optional
        Thresholds; `edge_thresholds` by default.
    max_distance : float
        Largest distance of matched pixels, as `MAX_DISTANCE`.

    Returns
    -------
    EdgeCounts
        Pixel counts at each threshold.

    Raises
    ------
    EvaluationError
        If the shapes differ, there is no annotator, or the map is not finite.

    Notes
    -----
    Each matching is one of the largest. The benchmark's own is also the shortest of these; here the nearest pairs are
    only matched first.

    Examples
    --------
    >>> truth = np.zeros((1, 9, 9), bool)
    >>> truth[0, 4] = True
    >>> counts = edge_counts(truth[0] * 0.8, truth, np.array([0.5, 0.9]))
    >>> counts.matched_true.tolist(), counts.true.tolist(), counts.predicted.tolist()
    ([9, 0], [9, 9], [9, 0])
    """
    if truth.ndim != 3 or not len(truth) or truth.shape[1:] != edges.shape:
        raise EvaluationError(
            f"boundaries of shape {truth.shape} for a map of shape {edges.shape}", remedy="give (A, H, W)"
        )
    if not np.isfinite(edges).all():
        raise EvaluationError("the boundary map has values that are not finite", remedy="give finite values")
    thresholds = edge_thresholds() if thresholds is None else thresholds
    pixels, levels = thin_levels(edges, thresholds)
    reach_px = max_distance * float(np.hypot(*edges.shape))
    matched_by_any = np.zeros_like(levels)
    matched_true = np.zeros(len(thresholds), np.int64)
    for annotation in truth:
        pairs = PixelPairs.within(pixels, annotation, reach_px)
        for k, level in enumerate(levels):
            if not k or not np.array_equal(level, levels[k - 1]):
                matched = maximum_matching(*pairs.at_level(level))
            matched_by_any[k, matched] = True
            matched_true[k] += len(matched)
    true = np.full(len(thresholds), np.count_nonzero(truth), np.int64)
    return EdgeCounts(matched_true, true, matched_by_any.sum(1), levels.sum(1))


@dataclass(frozen=True)
class PixelPairs:
    """Pairs of a map's and an annotator's pixels within reach, sorted by the annotator's pixel and the distance.

    Attributes
    ----------
    predicted, true : ndarray of int
        (E,) indices of the two pixels of each pair.
    squared_distance : ndarray of int
        (E,) their squared distance, in pixels.
    """

    predicted: NDArray[np.int64]
    true: NDArray[np.int64]
    squared_distance: NDArray[np.int64]

    @classmethod
    def within(cls, pixels: NDArray[np.int64], annotation: NDArray[np.bool_], reach_px: float) -> PixelPairs:
        """Pair the pixels (N, 2) with those of `annotation` (H, W) that are at most `reach_px` away."""
        reach = int(reach_px)
        rows, cols = np.nonzero(annotation)
        index = np.full((annotation.shape[0] + 2 * reach, annotation.shape[1] + 2 * reach), -1)
        index[pixels[:, 0] + reach, pixels[:, 1] + reach] = np.arange(len(pixels))
        offsets = np.array([(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)])
        squared = (offsets**2).sum(1)
        near = np.argsort(squared, kind="stable")
        near = near[squared[near] <= reach_px * reach_px]
        partners = index[rows[:, None] + reach + offsets[near, 0], cols[:, None] + reach + offsets[near, 1]]
        true, which = np.nonzero(partners >= 0)
        return cls(partners[true, which], true, squared[near][which])

    def at_level(self, level: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the pairs whose predicted pixel is set at a threshold: both indices and squared distances."""
        present = level[self.predicted]
        return self.predicted[present], self.true[present], self.squared_distance[present]
