"""Compare label images: which objects agree, and how well a segmentation does over all thresholds."""

from __future__ import annotations

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
    """How the objects of two label images overlap.

    Attributes
    ----------
    true, predicted : int
        Numbers of objects.
    iou : ndarray of float64
        IoU of every pair of objects that overlap.
    rows, cols : ndarray of int64
        Which true and which predicted object each pair is, from 0.
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
        """How many pairs can be matched one to one with at least this IoU.

        Above one half at most one partner fits each object, so counting is enough; exactly at or below one half
        the largest matching is found.
        """
        fits = self.iou >= threshold
        if threshold > 0.5:
            return int(np.count_nonzero(fits))
        cost = np.zeros((self.true, self.predicted))
        cost[self.rows[fits], self.cols[fits]] = -1
        chosen = linear_sum_assignment(cost)
        return int(-cost[chosen].sum())

    def accuracy(self, threshold: float) -> float:
        """TP / (TP + FP + FN) at an IoU threshold; 1 where both images are empty."""
        tp = self.true_positives(threshold)
        either = self.true + self.predicted - tp
        return tp / either if either else 1.0

    def mean_accuracy(self) -> float:
        """Mean segmentation accuracy (mSA): `accuracy` averaged over `THRESHOLDS`."""
        return float(np.mean([self.accuracy(t) for t in THRESHOLDS]))


def match_labels(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> LabelMatching:
    """Overlaps of the objects of two label images.

    Parameters
    ----------
    true, predicted : ndarray of int
        (H, W), 0 is background; labels may have gaps.

    Returns
    -------
    Matching

    Raises
    ------
    ImageError
        If the shapes differ.

    Examples
    --------
    >>> a = np.array([[1, 1, 1, 0, 5, 5]])
    >>> b = np.array([[2, 2, 0, 0, 7, 7]])
    >>> m = match(a, b)
    >>> m.iou.round(2).tolist(), m.accuracy(0.5), round(m.accuracy(0.7), 3)
    ([0.67, 1.0], 1.0, 0.333)
    """
    if true.shape != predicted.shape:
        raise ImageError(f"label images of shape {true.shape} and {predicted.shape}: give two of one shape")
    (a, n), (b, m) = _numbered(true), _numbered(predicted)
    both = sparse.coo_matrix((np.ones(a.size, np.int64), (a, b)), shape=(n + 1, m + 1)).tocsr()
    area_a, area_b = np.asarray(both.sum(1)).ravel(), np.asarray(both.sum(0)).ravel()
    inner = both[1:, 1:].tocoo()
    rows, cols = inner.row.astype(np.int64), inner.col.astype(np.int64)
    iou = inner.data / (area_a[rows + 1] + area_b[cols + 1] - inner.data)
    return LabelMatching(n, m, iou.astype(np.float64), rows, cols, inner.data / area_a[rows + 1])


def _numbered(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """Labels from 1 without gaps, flat, and how many there are."""
    values, index = np.unique(labels, return_inverse=True)
    flat = index.ravel().astype(np.int64)
    return (flat, len(values) - 1) if len(values) and values[0] == 0 else (flat + 1, len(values))


@dataclass(frozen=True)
class LabelScores:
    """How well a label image agrees with the truth; NaN where a number is not defined.

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
        The Cell Tracking Challenge's SEG: mean over true objects of the IoU with the one that covers more than half
        of it, 0 where there is none.
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
    """All numbers of one image.

    Parameters
    ----------
    true, predicted : ndarray of int
        (H, W), 0 is background; labels may have gaps.

    Raises
    ------
    ImageError
        If the shapes differ.

    Examples
    --------
    >>> a = np.array([[1, 1, 1, 0, 5, 5]])
    >>> b = np.array([[2, 2, 0, 0, 7, 7]])
    >>> scores = label_scores(a, b)
    >>> round(scores.pq, 3), round(scores.seg, 3), scores.f1
    (0.833, 0.833, 1.0)
    """
    m = match_labels(true, predicted)
    tp = m.true_positives(0.5)
    sure = m.iou[m.iou > 0.5]
    either = m.true + m.predicted
    nothing = float("nan")
    rq = 2 * len(sure) / either if either else nothing
    sq = float(sure.mean()) if len(sure) else (0.0 if either else nothing)
    return LabelScores(
        m.mean_accuracy(),
        m.accuracy(0.5),
        m.accuracy(0.75),
        m.accuracy(0.9),
        2 * tp / either if either else nothing,
        tp / m.predicted if m.predicted else nothing,
        tp / m.true if m.true else nothing,
        sq * rq,
        sq,
        rq,
        float(m.iou[m.shared > 0.5].sum()) / m.true if m.true else nothing,
    )
