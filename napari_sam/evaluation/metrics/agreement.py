"""Compare automatic masks with what people corrected them to, as in the audit of SA-1B."""

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

IOU_LEVELS = (0.90, 0.75)
"""IoU levels of the audit; in SA-1B 94 % and 97 % of the pairs lie above them."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of automatic and corrected masks.

    Attributes
    ----------
    iou : Interval
        Mean IoU over objects.
    above : dict of float to Interval
        Share of objects with an IoU above each level.
    kept, changed, removed : int
        Number of automatic masks that were kept (IoU 1), changed and removed (IoU 0).
    """

    iou: Interval
    above: dict[float, Interval]
    kept: int
    changed: int
    removed: int


def agreement(pairs: Sequence[tuple[str, float]], *, seed: int = 0) -> Agreement:
    """Summarise pairs of an automatic and a corrected mask.

    Parameters
    ----------
    pairs : sequence of (str, float)
        Image and IoU of each automatic mask; 0 if it was removed, 1 if it was kept.
    seed : int
        Seed of the bootstrap over images.

    Raises
    ------
    EvaluationError
        If `pairs` is empty.

    Examples
    --------
    >>> audit = agreement([("a", 1.0), ("a", 0.95), ("b", 0.8), ("b", 0.0)])
    >>> audit.above[0.9].value, audit.above[0.75].value, audit.kept, audit.removed
    (0.5, 0.75, 1, 1)
    """
    if not pairs:
        raise EvaluationError("no person has looked at an automatic mask yet", remedy="review some objects first")
    images, ious = [image for image, _ in pairs], np.array([iou for _, iou in pairs])
    return Agreement(
        bootstrap_mean(ious, images, seed=seed),
        {level: bootstrap_mean((ious > level).astype(float), images, seed=seed) for level in IOU_LEVELS},
        int(np.count_nonzero(ious == 1)),
        int(np.count_nonzero((ious > 0) & (ious < 1))),
        int(np.count_nonzero(ious == 0)),
    )


def matched_ious(automatic: NDArray[np.integer], corrected: NDArray[np.integer]) -> list[float]:
    """Return the IoU of each automatic object with its partner among the corrected ones; 0 without a partner.

    Partners are assigned one to one, the highest IoU first.

    Parameters
    ----------
    automatic, corrected : ndarray of int
        (H, W) label images, 0 is background.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    matching = match_labels(automatic, corrected)
    ious = np.zeros(matching.true)
    taken: set[int] = set()
    for pair in np.argsort(-matching.iou, kind="stable"):
        row, col = int(matching.rows[pair]), int(matching.cols[pair])
        if ious[row] == 0 and col not in taken:
            ious[row] = matching.iou[pair]
            taken.add(col)
    return [float(iou) for iou in ious]
