"""How good automatic masks are: each against what a person made of it. SA-1B's audit found 94 % above IoU 0.9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.bootstrap import bootstrap_mean
from napari_sam.evaluation.metrics.label_matching import match_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.metrics.bootstrap import Interval

SHARES = (0.90, 0.75)
"""IoU above which the audit counts; in SA-1B 94 % and 97 % of the pairs."""


@dataclass(frozen=True)
class Agreement:
    """How automatic and corrected masks agree.

    Attributes
    ----------
    iou : Interval
        Mean over objects.
    above : dict of float to Interval
        Share of objects with a higher IoU.
    kept, changed, removed : int
        What became of the automatic masks; kept ones have IoU 1.
    """

    iou: Interval
    above: dict[float, Interval]
    kept: int
    changed: int
    removed: int


def agreement(pairs: Sequence[tuple[str, float]], *, seed: int = 0) -> Agreement:
    """Sum up pairs of an automatic and a corrected mask.

    Parameters
    ----------
    pairs : sequence of (str, float)
        Image and IoU of each automatic mask; 0 where it was removed, 1 where it was kept.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    EvaluationError
        If there is none.

    Examples
    --------
    >>> found = agreement([("a", 1.0), ("a", 0.95), ("b", 0.8), ("b", 0.0)])
    >>> found.above[0.9].value, found.above[0.75].value, found.kept, found.removed
    (0.5, 0.75, 1, 1)
    """
    if not pairs:
        raise EvaluationError("no automatic mask that a person has looked at; review some objects first")
    images, ious = [image for image, _ in pairs], np.array([iou for _, iou in pairs])
    return Agreement(
        bootstrap_mean(ious, images, seed=seed),
        {share: bootstrap_mean((ious > share).astype(float), images, seed=seed) for share in SHARES},
        int(np.count_nonzero(ious == 1)),
        int(np.count_nonzero((ious > 0) & (ious < 1))),
        int(np.count_nonzero(ious == 0)),
    )


def matched_ious(automatic: NDArray[np.integer], corrected: NDArray[np.integer]) -> list[float]:
    """IoU of each automatic object and the corrected one that it fits best, one to one; 0 where there is none.

    Parameters
    ----------
    automatic, corrected : ndarray of int
        (H, W) label images, 0 is background.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    m = match_labels(automatic, corrected)
    out = np.zeros(m.true)
    taken: set[int] = set()
    for k in np.argsort(-m.iou, kind="stable"):
        row, col = int(m.rows[k]), int(m.cols[k])
        if out[row] == 0 and col not in taken:
            out[row] = m.iou[k]
            taken.add(col)
    return [float(v) for v in out]
