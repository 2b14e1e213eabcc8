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
    true_labels, predicted_labels : ndarray of int64
        Labels of the objects, ascending.
    iou : ndarray of float64
        IoU of every pair of objects that overlap.
    rows, cols : ndarray of int64
        Index of the true and of the predicted object of each pair.
    shared : ndarray of float64
        Share of the true object that the predicted one covers.
    """

    true_labels: NDArray[np.int64]
    predicted_labels: NDArray[np.int64]
    iou: NDArray[np.float64]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    shared: NDArray[np.float64]

    @property
    def true(self) -> int:
        """Number of true objects."""
        return len(self.true_labels)

    @property
    def predicted(self) -> int:
        """Number of predicted objects."""
        return len(self.predicted_labels)

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


@dataclass(frozen=True)
class OverlapCounts:
    """Pixels that the objects of two label images have in common; counts of parts add up to those of the whole.

    Attributes
    ----------
    true, predicted : ndarray of int64
        (P,) label in either image of each pair that occurs; 0 is background.
    pixels : ndarray of int64
        (P,) number of pixels of each pair.
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    pixels: NDArray[np.int64]

    def __add__(self, other: OverlapCounts) -> OverlapCounts:
        """Return the counts of two parts together."""
        pairs = np.stack([np.append(self.true, other.true), np.append(self.predicted, other.predicted)], axis=1)
        unique, index = np.unique(pairs, axis=0, return_inverse=True)
        pixels = np.zeros(len(unique), np.int64)
        np.add.at(pixels, index.ravel(), np.append(self.pixels, other.pixels))
        return OverlapCounts(unique[:, 0], unique[:, 1], pixels)

    def matching(self) -> LabelMatching:
        """Return the overlaps of the objects."""
        (a, true_labels), (b, predicted_labels) = _renumber(self.true), _renumber(self.predicted)
        shape = (len(true_labels) + 1, len(predicted_labels) + 1)
        overlap = sparse.coo_matrix((self.pixels, (a, b)), shape=shape).tocsr()
        area_a, area_b = np.asarray(overlap.sum(1)).ravel(), np.asarray(overlap.sum(0)).ravel()
        objects = overlap[1:, 1:].tocoo()
        rows, cols = objects.row.astype(np.int64), objects.col.astype(np.int64)
        iou = objects.data / (area_a[rows + 1] + area_b[cols + 1] - objects.data)
        shared = objects.data / area_a[rows + 1]
        return LabelMatching(true_labels, predicted_labels, iou.astype(np.float64), rows, cols, shared)


def no_overlaps() -> OverlapCounts:
    """Return the counts of no pixels, to which those of parts are added."""
    return OverlapCounts(*np.zeros((3, 0), np.int64))


def count_overlaps(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> OverlapCounts:
    """Count the pixels of every pair of labels that occurs.

    Parameters
    ----------
    true, predicted : ndarray of int
        Label images or volumes of one shape, 0 is background; labels may have gaps.

    Raises
    ------
    ImageError
        If the shapes differ.

    Examples
    --------
    >>> counts = count_overlaps(np.array([[1, 1, 0]]), np.array([[2, 0, 0]]))
    >>> counts.true.tolist(), counts.predicted.tolist(), counts.pixels.tolist()
    ([0, 1, 1], [0, 0, 2], [1, 1, 1])
    """
    if true.shape != predicted.shape:
        raise ImageError(
            f"label images of shape {true.shape} and {predicted.shape}", remedy="give two label images of one shape"
        )
    values_a, a = np.unique(true, return_inverse=True)
    values_b, b = np.unique(predicted, return_inverse=True)
    ones, shape = np.ones(a.size, np.int64), (max(1, len(values_a)), max(1, len(values_b)))
    pairs = sparse.coo_matrix((ones, (a.ravel(), b.ravel())), shape=shape).tocsr().tocoo()
    return OverlapCounts(values_a[pairs.row].astype(np.int64), values_b[pairs.col].astype(np.int64), pairs.data)


def match_labels(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> LabelMatching:
    """Find the overlaps of the objects of two label images.

    Parameters
    ----------
    true, predicted : ndarray of int
        Label images or volumes of one shape, 0 is background; labels may have gaps.

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
    return count_overlaps(true, predicted).matching()


def _renumber(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the index of each label among the objects, from 1, with 0 for background; and the objects' labels."""
    objects = np.unique(labels[labels != 0])
    return np.where(labels == 0, 0, np.searchsorted(objects, labels) + 1), objects


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
    """Compute all scores of one image or volume; parameters and errors as `match_labels`.

    Examples
    --------
    >>> scores = label_scores(np.array([[1, 1, 1, 0, 5, 5]]), np.array([[2, 2, 0, 0, 7, 7]]))
    >>> round(scores.pq, 3), round(scores.seg, 3), scores.f1
    (0.833, 0.833, 1.0)
    """
    return scores_of(match_labels(true, predicted))


def scores_of(matching: LabelMatching) -> LabelScores:
    """Compute all scores from the overlaps of the objects."""
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
