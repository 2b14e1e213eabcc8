"""Build a prediction from low-res logits and a refined outline."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.logit_fields import LogitField, LogitGrid
from napari_sam.engine.interactive.mask_cleanup import tidy_grid
from napari_sam.engine.interactive.prediction import LazyMasks, Prediction, stability_scores
from napari_sam.engine.interactive.prompts import check_mask_size
from napari_sam.engine.interactive.rendering import common_span, render_masks
from napari_sam.engine.windows import LARGEST_MASK_PX

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompt_task import PromptTask

LARGE_PX = 1 << 24
"""Masks whose common crop has more pixels are rendered when they are first used."""


def build_prediction(
    task: PromptTask,
    logits: NDArray[np.float32],
    predicted_iou: NDArray[np.float32],
    outline: tuple[LogitField, int] | None,
    *,
    model: str,
    tidy: bool,
) -> Prediction:
    """Build the prediction of a task.

    Parameters
    ----------
    task : PromptTask
        The task in its last window.
    logits : ndarray of float32
        (M, H, W) low-res logits.
    predicted_iou : ndarray of float32
        (M,) scores.
    outline : (LogitField, int) or None
        The best mask with a refined outline, and the side of the windows that refined it.
    model : str
        Name of the model.
    tidy : bool
        Whether to remove specks and fill holes.

    Raises
    ------
    PromptError
        If the object is too large for a mask.
    """
    best = int(predicted_iou.argmax())
    seeds = task.seeds if tidy else None
    fields: list[LogitField] = [LogitGrid(values, task.window) for values in logits]
    levels = task.levels
    if outline is not None:
        fields[best], levels = outline[0], (*levels, outline[1])
    region = common_span(fields)
    masks: NDArray[np.bool_] | LazyMasks
    if region is None or region.area <= LARGE_PX:
        masks, bbox = render_masks(fields, task.window, seeds)
    else:
        masks = _lazy_masks(task, logits, fields, best, seeds, refined=outline is not None)
        bbox = masks.bbox
    return Prediction(
        masks=cast("NDArray[np.bool_]", masks),  # the field is read as an array whatever it holds
        bbox=bbox,
        predicted_iou=predicted_iou,
        stability_score=stability_scores(logits),
        low_res_logits=logits,
        best=best,
        window=task.window,
        levels=levels,
        model=model,
        prompt=task.prompt,
        context=task.context,
    )


def _lazy_masks(
    task: PromptTask,
    logits: NDArray[np.float32],
    fields: list[LogitField],
    best: int,
    seeds: NDArray[np.float64] | None,
    *,
    refined: bool,
) -> LazyMasks:
    """Return masks that are rendered when they are first used."""
    fields = [
        field if refined and i == best else tidy_grid(LogitGrid(logits[i], task.window), seeds)
        for i, field in enumerate(fields)
    ]
    best_span, region = common_span([fields[best]]), common_span(fields)
    if best_span is not None:
        check_mask_size(best_span, task.prompt)
    if region is None or region.area > LARGEST_MASK_PX:  # another candidate is too large: it is cut
        y0, x0 = task.window.bbox[:2]
        region = best_span or Box(y0, x0, y0 + 1, x0 + 1)
    return LazyMasks(fields, region, best)
