"""A simulated user: where to click next, and how well an answer fits the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from napari_sam.engine.geometry import Box
from src_models.training.prompt_simulation import correction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction


class PromptArguments(TypedDict, total=False):
    """Keyword arguments of `Predictor.predict` for one object."""

    points: Sequence[Sequence[float]]
    point_labels: Sequence[int]
    box: Sequence[float]
    mask: Prediction


def prediction_iou(prediction: Prediction, index: int, truth: NDArray[np.bool_], origin: tuple[int, int]) -> float:
    """Return the IoU of one of a prediction's masks and a true mask cropped at `origin` (y, x)."""
    return crop_iou(prediction.mask_at(index), prediction.bbox[:2], truth, origin)


def crop_iou(
    mask: NDArray[np.bool_], corner: tuple[int, int], truth: NDArray[np.bool_], origin: tuple[int, int]
) -> float:
    """Return the IoU of two masks cropped at `corner` and `origin` (y, x); 1 if both are empty."""
    mask_box, truth_box = crop_box(mask, corner), crop_box(truth, origin)
    common = mask_box.intersection(truth_box)
    intersection = 0
    if not common.is_empty:
        mask_part = mask[common.slices_in(mask_box)]
        truth_part = truth[common.slices_in(truth_box)]
        intersection = int(np.count_nonzero(mask_part & truth_part))
    union = int(np.count_nonzero(mask)) + int(np.count_nonzero(truth)) - intersection
    return intersection / union if union else 1.0


def crop_box(mask: NDArray[np.bool_], origin: tuple[int, int]) -> Box:
    """Return the box of a mask cropped at `origin` (y, x)."""
    return Box(origin[0], origin[1], origin[0] + mask.shape[0], origin[1] + mask.shape[1])


def next_click(
    mask: NDArray[np.bool_],
    corner: tuple[int, int],
    truth: NDArray[np.bool_],
    origin: tuple[int, int],
    rng: np.random.Generator | None = None,
) -> tuple[int, int, int]:
    """Return the next click (y, x, label) in the image, where a mask differs from the true one.

    Parameters
    ----------
    mask, truth : ndarray of bool
        Cropped masks.
    corner, origin : (int, int)
        (y, x) of the first pixels of `mask` and of `truth`.
    rng : numpy.random.Generator, optional
        Chooses a random pixel of the error; by default the pixel farthest from the error's border is chosen.
    """
    frame = crop_box(mask, corner).union(crop_box(truth, origin))
    masks = np.zeros((2, *frame.shape), bool)
    for full, crop, corner_of_crop in zip(masks, (mask, truth), (corner, origin), strict=True):
        full[crop_box(crop, corner_of_crop).slices_in(frame)] = crop
    y, x, label = correction(masks[0], masks[1], rng)
    return y + frame.y0, x + frame.x0, label


def next_prompt(
    prompt: PromptArguments,
    prediction: Prediction,
    truth: NDArray[np.bool_],
    origin: tuple[int, int],
    rng: np.random.Generator | None = None,
) -> PromptArguments:
    """Add the next click of SAM's evaluation protocol, and the mask predicted so far."""
    y, x, label = next_click(prediction.mask, prediction.bbox[:2], truth, origin, rng)
    return {
        **prompt,
        "points": [*prompt.get("points", ()), (y, x)],
        "point_labels": [*prompt.get("point_labels", ()), label],
        "mask": prediction,
    }
