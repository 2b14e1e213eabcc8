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
class Matching:
    """How the objects of two label images overlap.

    Attributes
    ----------
    true, predicted : int
        Numbers of objects.
    iou : ndarray of float64
        IoU of every pair of objects that overlap.
    rows, cols : ndarray of int64
        Which true and which predicted object each pair is, from 0.
    """

    true: int
    predicted: int
    iou: NDArray[np.float64]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]

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


def match(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> Matching:
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
    return Matching(n, m, iou.astype(np.float64), rows, cols)


def _numbered(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """Labels from 1 without gaps, flat, and how many there are."""
    values, index = np.unique(labels, return_inverse=True)
    flat = index.ravel().astype(np.int64)
    return (flat, len(values) - 1) if len(values) and values[0] == 0 else (flat + 1, len(values))
