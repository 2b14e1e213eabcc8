"""Match the objects of two label images, and score a segmentation over all IoU thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""IoU thresholds 0.50, 0.55, ... 0.95 that the mean segmentation accuracy averages over."""


@dataclass(frozen=True)
class LabelMatching:
    """Overlaps of the objects of two label images.

    Attributes
    ----------
    true, predicted : int
        Numbers of objects.
    iou : ndarray of float64
        IoU of every pair of objects that overlap.
    rows, cols : ndarray of int64
        Index of the true and of the predicted object of each pair.
    shared : ndarray of float64
        Share of the true object that the predicted one covers.
    """

    true: int
    predicted: int
    iou: NDArray[np.float64]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    shared: NDArray[np.float64]

    def true_positives(self, threshold: float) -> int:
        """Return the number of pairs that can be matched one to one with at least this IoU.

        Above one half at most one partner fits each object, so that counting the pairs is enough; at one half or below,
        a maximum matching is computed.
        """
        is_match = self.iou >= threshold
        if threshold > 0.5:
            return int(np.count_nonzero(is_match))
        cost = np.zeros((self.true, self.predicted))
        cost[self.rows[is_match], self.cols[is_match]] = -1
        assignment = linear_sum_assignment(cost)
        return int(-cost[assignment].sum())

    def accuracy(self, threshold: float) -> float:
        """Return TP / (TP + FP + FN) at an IoU threshold; 1 if both images are empty."""
        tp = self.true_positives(threshold)
        total = self.true + self.predicted - tp
        return tp / total if total else 1.0

    def mean_accuracy(self) -> float:
        """Return the mean segmentation accuracy (mSA): `accuracy` averaged over `THRESHOLDS`."""
        return float(np.mean([self.accuracy(t) for t in THRESHOLDS]))


def match_labels(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> LabelMatching:
    """Find the overlaps of the objects of two label images.

    Parameters
    ----------
    true, predicted : ndarray of int
        (H, W), 0 is background; labels may have gaps.

    Returns
    -------
    LabelMatching
        All pairs of objects that overlap.

    Raises
    ------
    ImageError
        If the shapes differ.

    Examples
    --------
    >>> a = np.array([[1, 1, 1, 0, 5, 5]])
    >>> b = np.array([[2, 2, 0, 0, 7, 7]])
    >>> m = match_labels(a, b)
    >>> m.iou.round(2).tolist(), m.accuracy(0.5), round(m.accuracy(0.7), 3)
    ([0.67, 1.0], 1.0, 0.333)
    """
    if true.shape != predicted.shape:
        raise ImageError(
            f"label images of shape {true.shape} and {predicted.shape}", remedy="give two label images of one shape"
        )
    (a, n), (b, m) = _renumber(true), _renumber(predicted)
    overlap = sparse.coo_matrix((np.ones(a.size, np.int64), (a, b)), shape=(n + 1, m + 1)).tocsr()
    area_a, area_b = np.asarray(overlap.sum(1)).ravel(), np.asarray(overlap.sum(0)).ravel()
    objects = overlap[1:, 1:].tocoo()
    rows, cols = objects.row.astype(np.int64), objects.col.astype(np.int64)
    iou = objects.data / (area_a[rows + 1] + area_b[cols + 1] - objects.data)
    return LabelMatching(n, m, iou.astype(np.float64), rows, cols, objects.data / area_a[rows + 1])


def _renumber(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """Return the labels numbered from 1 without gaps, flat, and their number."""
    values, index = np.unique(labels, return_inverse=True)
    flat = index.ravel().astype(np.int64)
    return (flat, len(values) - 1) if len(values) and values[0] == 0 else (flat + 1, len(values))


@dataclass(frozen=True)
class LabelScores:
    """Scores of a label image; NaN where a score is not defined.

    Attributes
    ----------
    msa, ap50, ap75, ap90 : float
        TP / (TP + FP + FN): averaged over `THRESHOLDS`, and at IoU 0.5, 0.75 and 0.9. Cellpose and StarDist call them
        average precision, the DSB 2018 challenge mean average precision.
    f1, precision, recall : float
        At IoU 0.5.
    pq, sq, rq : float
        Panoptic quality (Kirillov et al., 2019): mean IoU of the pairs above 0.5, times F1.
    seg : float
        The Cell Tracking Challenge's SEG: mean over true objects of the IoU with the predicted one that
        covers more than half of it, 0 if there is none.
    """

    msa: float
    ap50: float
    ap75: float
    ap90: float
    f1: float
    precision: float
    recall: float
    pq: float
    sq: float
    rq: float
    seg: float


def label_scores(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> LabelScores:
    """Compute all scores of one image; parameters and errors as `match_labels`.

    Examples
    --------
    >>> scores = label_scores(np.array([[1, 1, 1, 0, 5, 5]]), np.array([[2, 2, 0, 0, 7, 7]]))
    >>> round(scores.pq, 3), round(scores.seg, 3), scores.f1
    (0.833, 0.833, 1.0)
    """
    matching = match_labels(true, predicted)
    tp = matching.true_positives(0.5)
    certain = matching.iou[matching.iou > 0.5]
    count = matching.true + matching.predicted
    rq = 2 * len(certain) / count if count else math.nan
    sq = float(certain.mean()) if len(certain) else (0.0 if count else math.nan)
    return LabelScores(
        msa=matching.mean_accuracy(),
        ap50=matching.accuracy(0.5),
        ap75=matching.accuracy(0.75),
        ap90=matching.accuracy(0.9),
        f1=2 * tp / count if count else math.nan,
        precision=tp / matching.predicted if matching.predicted else math.nan,
        recall=tp / matching.true if matching.true else math.nan,
        pq=sq * rq,
        sq=sq,
        rq=rq,
        seg=float(matching.iou[matching.shared > 0.5].sum()) / matching.true if matching.true else math.nan,
    )
