"""What a model sees in an image, in a few numbers: its mean embedding, and how uncertain its answers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.windows import grid_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.windows import Window
    from napari_sam.predictor import Predictor

_LONG = 1.5  # windows along a side from which two are looked at
_POINTS = 4  # a side of the grid of points that a model without dense decoder is asked at
_BACKGROUND = 0.1  # probability below which a pixel is background for certain


@dataclass(frozen=True)
class ImageProfile:
    """What a model sees in an image.

    Attributes
    ----------
    embedding : ndarray of float32
        (256,) mean embedding, of length 1.
    uncertainty : float
        How unsure the model is of its answers, from 0 to 1.
    """

    embedding: NDArray[np.float32]
    uncertainty: float


def profile_image(predictor: Predictor, cancelled: Callable[[], bool] | None = None) -> ImageProfile:
    """Look at up to four windows of a predictor's image; the cost does not depend on the size of the image.

    Parameters
    ----------
    predictor : Predictor
        With an image.
    cancelled : callable, optional
        Called between windows; return True to stop.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True.
    """
    total, weight, doubts = np.zeros(0), 0, []
    for window in profile_windows(predictor.image.shape, predictor.img_size):
        embedding = predictor.embed(window, cancelled, background=True)[0].float().cpu().numpy()
        rows, cols = (
            max(1, round(used * size / predictor.img_size))
            for used, size in zip(window.network_shape, embedding.shape[1:], strict=True)
        )
        cells = embedding[:, :rows, :cols].reshape(len(embedding), -1)
        total = cells.sum(1) + (total if weight else 0.0)
        weight += cells.shape[1]
        doubts.append(_doubt(predictor, window))
    mean = total / weight
    norm = float(np.linalg.norm(mean)) or 1.0
    return ImageProfile((mean / norm).astype(np.float32), float(np.mean(doubts)))


def profile_windows(shape: tuple[int, int], side: int) -> list[Window]:
    """Return the windows of an image that are looked at, two along each side longer than one and a half windows.

    Parameters
    ----------
    shape : (int, int)
        Height and width of level 0.
    side : int
        Side of the network's input, which is that of a window.

    Examples
    --------
    >>> [window.bbox for window in profile_windows((500, 600), 512)]
    [(0, 0, 500, 512)]
    >>> [window.bbox[:2] for window in profile_windows((100_000, 100_000), 512)]
    [(24832, 24832), (24832, 74752), (74752, 24832), (74752, 74752)]
    """
    rows, cols = ([0.5] if size <= _LONG * side else [0.25, 0.75] for size in shape)
    return [grid_window((y * shape[0], x * shape[1]), side, shape, side) for y in rows for x in cols]


def _doubt(predictor: Predictor, window: Window) -> float:
    """Return how unsure a model is of what it finds in a window, from 0 to 1.

    With a dense decoder: 4 p (1 - p), averaged over all pixels that may belong to an object, where p is the probability
    that they do. Without one: one minus the predicted IoU, averaged over a grid of points.
    """
    if predictor.can_dense:
        p = predictor.dense_maps(window)[0]
        p = p[p > _BACKGROUND]
        return float((4 * p * (1 - p)).mean()) if len(p) else 0.0
    y0, x0, y1, x1 = window.bbox
    shares = (np.arange(_POINTS) + 0.5) / _POINTS
    points = [(y0 + a * (y1 - y0), x0 + b * (x1 - x0)) for a in shares for b in shares]
    found = predictor.predict_many([{"points": [point], "point_labels": [1]} for point in points])
    return float(np.mean([1 - np.clip(one.predicted_iou[one.best], 0, 1) for one in found]))
