"""Find the last plane of a followed object from its side views.

On single planes, objects that lie behind each other without a gap look like one object that changes. From the side they
look as touching objects do on a plane, and the same network tells them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.prediction import PredictionSettings
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.propagation.side.side_view import side_views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.window_predictor import WindowPredictor
    from napari_sam.engine.propagation.plane_mask import PackedMask
    from napari_sam.engine.propagation.plane_views import PlaneViews
    from napari_sam.engine.propagation.side.side_view import SideView

TRUSTED_AGREEMENT = 0.5
"""IoU of a mask of a side view with the known object at the anchor from which on it is believed."""

COVERED = 0.3
"""Share of the object on a plane that such a mask covers if the object is still there."""


class SideEndFinder:
    """Find where objects end by segmenting their side views.

    Parameters
    ----------
    views : PlaneViews
        The planes of the stack.
    cancelled : callable, optional
        Called between the steps; return True to stop.
    """

    def __init__(self, views: PlaneViews, cancelled: Callable[[], bool] | None = None) -> None:
        self._views, self._cancelled = views, cancelled

    def last_plane(
        self, records: Mapping[int, PackedMask], planes: Sequence[int], anchor: int, step: int
    ) -> int | None:
        """Return the last plane of an object in a direction.

        Parameters
        ----------
        records : mapping of int to PackedMask
            The object, by plane.
        planes : sequence of int
            Planes to look at, in order.
        anchor : int
            One of them, on which the object is known.
        step : {1, -1}
            Direction: towards higher planes or lower ones.

        Returns
        -------
        int or None
            The nearer of the ends that the views along y and along x show; None if neither is understood.
        """
        row = list(planes).index(anchor)
        ends = []
        for side in side_views(self._views, records, planes, anchor):
            covered = self._coverage(side, row)
            if covered is not None:
                ends.append(_run_length(covered[row:] if step > 0 else covered[row::-1]))
        return None if not ends else planes[row + step * (min(ends) - 1)]

    def _coverage(self, side: SideView, row: int) -> NDArray[np.float64] | None:
        """Return the share of the object that the best mask covers on each plane; None without a mask to believe."""
        predictor = self._predictor(side)
        prompt = {"points": [side.place(row)]}
        (prediction,) = predictor.predict_many([prompt], PredictionSettings(), None, self._cancelled)
        frame, near = Box(0, 0, *side.shape), slice(max(0, row - 1), row + 2)
        box = Box(*prediction.bbox).intersection(frame)
        best, merit, trusted = None, -1.0, 0.0
        for crop, score in zip(prediction.masks, prediction.predicted_iou, strict=True):
            whole = np.zeros(side.shape, bool)
            whole[box.slices] = crop[box.slices_in(Box(*prediction.bbox))]
            mask = side.by_plane(whole)
            agreement = _iou(mask[near], side.inside[near])
            if float(score) * agreement > merit:
                best, merit, trusted = mask, float(score) * agreement, agreement
        if best is None or trusted < TRUSTED_AGREEMENT:
            return None
        size = np.count_nonzero(side.inside, axis=1)
        share = np.count_nonzero(best & side.inside, axis=1) / np.maximum(size, 1)
        return np.where(size > 0, share, 1.0)  # where the line misses the object, it tells nothing

    def _predictor(self, side: SideView) -> WindowPredictor:
        return self._views.looking_at(side, Normalisation())


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    either = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / max(either, 1)


def _run_length(covered: NDArray[np.float64]) -> int:
    """Return on how many planes from the first one the object is covered; at least 1.

    >>> _run_length(np.array([1.0, 0.8, 0.1, 0.9]))
    2
    """
    out = np.flatnonzero(covered < COVERED)
    return max(1, int(out[0]) if len(out) else len(covered))
