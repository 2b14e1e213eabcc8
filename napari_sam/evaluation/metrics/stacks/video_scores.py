"""J and F of masks that follow an object through a movie, as the DAVIS benchmark measures them.

Perazzi et al., A benchmark dataset and evaluation methodology for video object segmentation, CVPR 2016.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TOLERANCE = 0.008
"""Distance within which boundaries agree, as a share of the frame's diagonal."""

_RECALL_LEVEL = 0.5
_QUARTERS = 4


def region_similarity(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Return J, the IoU of two masks of one shape; 1 if both are empty.

    >>> region_similarity(np.array([True, True, False]), np.array([False, True, True]))
    0.3333333333333333
    """
    union = int(np.count_nonzero(true | predicted))
    return int(np.count_nonzero(true & predicted)) / union if union else 1.0


def boundary_f(
    true: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    frame_shape: tuple[int, int] | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Return F, the harmonic mean of precision and recall of the boundary pixels.

    Parameters
    ----------
    true, predicted : ndarray of bool
        (h, w), the whole frame or a crop with a margin of at least one pixel around both masks.
    frame_shape : (int, int), optional
        Height and width of the frame; those of the masks by default.
    tolerance : float
        Distance within which boundaries agree: a share of the diagonal, rounded up to whole pixels.

    Notes
    -----
    A pixel lies on the boundary if its right, lower or lower right neighbour differs. Both masks empty: 1; one: 0.
    """
    height, width = frame_shape or true.shape
    radius = math.ceil(tolerance * math.hypot(height, width))
    a, b = _boundary(true), _boundary(predicted)
    if not a.any() and not b.any():
        return 1.0
    if not a.any() or not b.any():
        return 0.0
    recall = float((ndimage.distance_transform_edt(~b)[a] <= radius).mean())
    precision = float((ndimage.distance_transform_edt(~a)[b] <= radius).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    right, lower, diagonal = mask.copy(), mask.copy(), mask.copy()
    right[:, :-1], lower[:-1] = mask[:, 1:], mask[1:]
    diagonal[:-1, :-1] = mask[1:, 1:]
    boundary: NDArray[np.bool_] = (mask ^ right) | (mask ^ lower)
    boundary[:-1, :-1] |= (mask ^ diagonal)[:-1, :-1]
    return boundary


@dataclass(frozen=True)
class VideoScores:
    """Scores of one object in a movie; NaN without a frame.

    Attributes
    ----------
    j, f : float
        Mean region similarity and mean boundary F over frames.
    j_recall : float
        Share of the frames with J above 0.5.
    j_decay : float
        Mean J of the first quarter of the frames minus that of the last.
    """

    j: float
    f: float
    j_recall: float
    j_decay: float

    @property
    def j_and_f(self) -> float:
        """Mean of J and F, by which methods are ranked."""
        return (self.j + self.f) / 2


def j_and_f(j: Sequence[float], f: Sequence[float]) -> VideoScores:
    """Return the scores of an object from those of its frames, in order.

    Parameters
    ----------
    j, f : sequence of float
        `region_similarity` and `boundary_f` of each frame. DAVIS leaves out the first frame, which is given.

    Examples
    --------
    >>> scores = j_and_f([1.0, 0.8, 0.6, 0.4], [1.0, 1.0, 0.5, 0.5])
    >>> round(scores.j_and_f, 3), scores.j_recall, round(scores.j_decay, 3)
    (0.725, 0.75, 0.6)
    """
    if not len(j):
        return VideoScores(math.nan, math.nan, math.nan, math.nan)
    values = np.asarray(j, float)
    bounds = np.round(np.linspace(0, len(values), _QUARTERS + 1)).astype(int)
    first, last = values[: max(1, bounds[1])], values[min(bounds[-2], len(values) - 1) :]
    return VideoScores(
        float(values.mean()),
        float(np.mean(f)),
        float((values > _RECALL_LEVEL).mean()),
        float(first.mean() - last.mean()),
    )
