"""Decide whether a prompt is decoded again in a coarser window."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.engine.interactive.logit_fields import LogitGrid
from napari_sam.engine.interactive.mask_cleanup import tidy_grid
from napari_sam.engine.interactive.prompt_task import DecodedResult, PromptTask
from napari_sam.engine.interactive.prompts import check_mask_size
from napari_sam.engine.windows import coarser_window, cut_by

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Predicted IoU: inside a large, even object it is about 0.3, elsewhere hardly below 0.5.
_LOW_CONFIDENCE, _HIGH_CONFIDENCE = 0.45, 0.7
_RETRY_FACTOR = 4.0  # side of the window of a retry over that of the previous one


class WindowEscalation:
    """Follow objects that a window cuts, and results of low confidence, to coarser windows.

    Parameters
    ----------
    image_shape : (int, int)
        Height and width of level 0.
    tidy : bool
        Whether masks are tidied: only their tidied part counts as cut.
    """

    def __init__(self, image_shape: tuple[int, int], tidy: bool) -> None:
        self.image_shape, self.tidy = image_shape, tidy

    def next_step(
        self, task: PromptTask, logits: NDArray[np.float32], predicted_iou: NDArray[np.float32]
    ) -> PromptTask | DecodedResult | None:
        """Decide what follows the result of a task.

        Parameters
        ----------
        task : PromptTask
            The task.
        logits : ndarray of float32
            (M, H, W) its low-res logits.
        predicted_iou : ndarray of float32
            (M,) its scores.

        Returns
        -------
        PromptTask, DecodedResult or None
            The task in a coarser window, an earlier result to use instead, or None to use this one.

        Raises
        ------
        PromptError
            If the object is too large for a mask.
        """
        confidence = float(predicted_iou.max())
        if task.fallback is None or confidence >= _HIGH_CONFIDENCE:
            coarser = self._if_cut(task, LogitGrid(logits[int(predicted_iou.argmax())], task.window))
            if coarser is not None or confidence >= _LOW_CONFIDENCE:
                return coarser
        extent = task.prompt.extent
        window = coarser_window(task.window, extent, self.image_shape, _RETRY_FACTOR) if task.retries else None
        if window is None or not window.holds(extent):
            return task.fallback
        fallback = task.fallback or DecodedResult(task, logits, predicted_iou)
        return replace(task.moved_to(window), retries=task.retries - 1, fallback=fallback)

    def _if_cut(self, task: PromptTask, grid: LogitGrid) -> PromptTask | None:
        """Return the task in a coarser window if its window cuts the mask; else None."""
        shape = self.image_shape
        if not cut_by(grid.values, task.window, shape):
            return None
        if self.tidy:  # perhaps only a speck is cut
            grid = tidy_grid(grid, task.seeds)
            if not cut_by(grid.values, task.window, shape):
                return None
        span = grid.span()
        if span is None:
            return None
        check_mask_size(span, task.prompt)
        y0, x0, y1, x1 = extent = task.prompt.extent
        both = (min(span.y0, y0), min(span.x0, x0), max(span.y1, y1), max(span.x1, x1))
        window = coarser_window(task.window, both, shape)
        return task.moved_to(window) if window is not None and window.holds(extent) else None
