"""What the engine answers: masks in image pixels, with scores, and how logits become them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_sam.engine.interactive.rendering import MASK_THRESHOLD, LogitField, LogitGrid, render
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.windows import Hints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import Prompt
    from napari_sam.engine.windows import Window

LARGE_PX = 1 << 24
"""Masks whose common crop has more pixels are computed when asked for."""

_STABILITY_OFFSET = 1.0


@dataclass(frozen=True)
class Asked:
    """What decided an answer besides the prompt: enough to get the same one again.

    Attributes
    ----------
    hints : Hints
        What was known of the object's size.
    multimask : bool
        Three masks, or one.
    refine : bool or None
        As in `Predictor.predict`.
    normalisation : Normalisation
        Which values were black and white.
    image_shape : (int, int) or None
        Height and width of the image, level-0 pixels.
    plane, channels : tuple of int
        Which plane of a stack and which channels were looked at, where the image says it.
    """

    hints: Hints = field(default_factory=Hints)
    multimask: bool = True
    refine: bool | None = None
    normalisation: Normalisation = field(default_factory=Normalisation)
    image_shape: tuple[int, int] | None = None
    plane: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class Prediction:
    """The answer to one prompt.

    Attributes
    ----------
    masks : ndarray of bool
        (M, h, w), a crop of the image.
    bbox : (int, int, int, int)
        (y0, x0, y1, x1) of that crop in level-0 pixels, half-open.
    predicted_iou : ndarray of float32
        (M,) how good the network thinks each mask is.
    stability_score : ndarray of float32
        (M,) IoU of the mask with itself at thresholds one logit apart.
    low_res_logits : ndarray of float32
        (M, H, W) in the window's frame; a mask prompt for the next round.
    best : int
        Index of the mask with the highest predicted IoU.
    window : Window
        Where the network looked.
    levels : tuple of int
        Sides of the windows that were asked, in level-0 pixels, in this order. The last gave the outline: it is
        smaller than `window` where the outline was refined.
    model : str
        Name of the model.
    prompt : Prompt
        What was asked.
    asked : Asked
        What else decided the answer.
    """

    masks: NDArray[np.bool_]
    bbox: tuple[int, int, int, int]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]
    best: int
    window: Window
    levels: tuple[int, ...]
    model: str
    prompt: Prompt
    asked: Asked = field(default_factory=Asked)

    def __repr__(self) -> str:
        scores = ", ".join(f"{v:.2f}" for v in self.predicted_iou)
        return f"<{type(self).__name__} of {self.count} masks in {self.bbox}, predicted IoU {scores}, by {self.model}>"

    @property
    def count(self) -> int:
        """Number of masks, without computing them."""
        return len(self.predicted_iou)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The best mask, (h, w)."""
        return self.mask_at(self.best)

    def mask_at(self, index: int) -> NDArray[np.bool_]:
        """One of the masks, (h, w); of a large object without computing the others."""
        out: NDArray[np.bool_] = self.masks[index]
        return out

    def full_mask(self, shape: tuple[int, int], index: int | None = None) -> NDArray[np.bool_]:
        """A mask in an array of the image's shape; for small images only."""
        out = np.zeros(shape, bool)
        y0, x0, y1, x1 = self.bbox
        out[y0:y1, x0:x1] = self.mask_at(self.best if index is None else index)
        return out


class LargePrediction(Prediction):
    """The answer to a prompt on an object of more than 16 million pixels: masks are computed when asked for.

    Parameters
    ----------
    parts : sequence of LogitField
        One for each mask.
    bbox, **answer
        As in `Prediction`; `bbox` is up to two low-res logits larger than the masks, and holds the best one.

    Notes
    -----
    `mask` takes one byte for each pixel of `bbox`, at most 256 MiB, and is kept once computed; `masks` takes that for
    each of the masks.
    """

    parts: Sequence[LogitField]

    def __init__(self, parts: Sequence[LogitField], bbox: tuple[int, int, int, int], **answer: Any) -> None:
        wanted = {one.name for one in fields(Prediction)} - {"masks", "bbox"}
        if set(answer) != wanted:
            raise TypeError(f"give {', '.join(sorted(wanted))}")
        for name, value in {**answer, "parts": parts, "bbox": bbox}.items():
            object.__setattr__(self, name, value)  # frozen

    @cached_property
    def masks(self) -> NDArray[np.bool_]:  # type: ignore[override]  # noqa: D102 - as in Prediction
        return np.stack([self.mask_at(i) for i in range(len(self.parts))])

    @cached_property
    def mask(self) -> NDArray[np.bool_]:  # noqa: D102 - as in Prediction
        return render(self.parts[self.best], self.bbox)

    def mask_at(self, index: int) -> NDArray[np.bool_]:  # noqa: D102 - as in Prediction
        return self.mask if index == self.best else render(self.parts[index], self.bbox)


def stability_scores(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How little each mask changes between two thresholds, one logit above and below zero.

    Parameters
    ----------
    logits : ndarray of float32
        (M, H, W).

    Returns
    -------
    ndarray of float32
        (M,) in [0, 1]; 0 for an empty mask, where the reference implementation divides zero by zero.

    Examples
    --------
    >>> stability_scores(np.array([[[2.0, 2.0, 0.5, -3.0]], [[-9.0, -9.0, -9.0, -9.0]]], np.float32)).tolist()
    [0.6666666865348816, 0.0]
    """
    strict = np.count_nonzero(logits > MASK_THRESHOLD + _STABILITY_OFFSET, axis=(1, 2))
    loose = np.count_nonzero(logits > MASK_THRESHOLD - _STABILITY_OFFSET, axis=(1, 2))
    return np.asarray(strict / np.maximum(loose, 1), dtype=np.float32)


def upsample_masks(logits: NDArray[np.float32], window: Window) -> tuple[NDArray[np.bool_], tuple[int, int, int, int]]:
    """Masks in level-0 pixels from low-res logits, computing only the region where something is foreground.

    Parameters
    ----------
    logits : ndarray of float32
        (M, H, W) in the window's frame, padding included.
    window : Window
        Its place in the image.

    Returns
    -------
    masks : ndarray of bool
        (M, h, w).
    bbox : (int, int, int, int)
        (y0, x0, y1, x1) of the masks, level-0 pixels, half-open, tight around all M masks. Empty masks give one
        pixel of background at the window's corner.

    Notes
    -----
    Bilinear interpolation of logits with pixel centres aligned, then the threshold: what SAM's two resizings
    amount to, in one.
    """
    return render_masks([LogitGrid(one, window) for one in logits], window)


def render_masks(
    fields: Sequence[LogitField], window: Window, seeds: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.bool_], tuple[int, int, int, int]]:
    """Masks of several fields as one array, tight around them all.

    Parameters
    ----------
    fields : sequence of LogitField
        One for each mask.
    window : Window
        Where they lie; empty masks give one pixel of background at its corner.
    seeds : ndarray of float, optional
        (P, 2) foreground points, level-0 pixels: masks are tidied with them (`tidy_mask`).

    Returns
    -------
    masks : ndarray of bool
        (M, h, w).
    bbox : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open. With `seeds`, tight around the masks before they are tidied.
    """
    region = common_span(fields)
    if region is None:
        y0, x0 = window.bbox[:2]
        return np.zeros((len(fields), 1, 1), bool), (y0, x0, y0 + 1, x0 + 1)
    masks, bbox = _tighten(np.stack([render(one, region) for one in fields]), region)
    if seeds is not None:
        masks = np.stack([tidy_mask(mask, seeds - bbox[:2]) for mask in masks])
    return masks, bbox


def common_span(fields: Sequence[LogitField]) -> tuple[int, int, int, int] | None:
    """The region outside of which no field is foreground; None if none is anywhere."""
    spans = [span for span in (field.span() for field in fields) if span is not None]
    if not spans:
        return None
    corners = np.array(spans)
    (y0, x0), (y1, x1) = corners[:, :2].min(0).tolist(), corners[:, 2:].max(0).tolist()
    return y0, x0, y1, x1


def tidy_mask(mask: NDArray[np.bool_], seeds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Drop specks and fill holes: what a person who clicked one object would do by hand.

    Parameters
    ----------
    mask : ndarray of bool
        (h, w).
    seeds : ndarray of float
        (P, 2) foreground points as (y, x) in the mask's pixels; some may lie outside.

    Returns
    -------
    ndarray of bool
        The 4-connected parts that hold a seed, or the largest part if none does, with their holes filled.

    Examples
    --------
    >>> mask = np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0]], bool)
    >>> tidy_mask(mask, np.array([[0.0, 0.0]])).astype(int).tolist()
    [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    """
    parts, count = ndimage.label(mask)
    if count > 1:
        at = np.round(seeds).astype(np.int64)
        at = at[((at >= 0) & (at < mask.shape)).all(1)]
        kept = np.unique(parts[at[:, 0], at[:, 1]])
        kept = kept[kept > 0]
        if not len(kept):
            kept = np.array([np.bincount(parts.ravel())[1:].argmax() + 1])
        mask = np.isin(parts, kept)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(mask)
    return filled


def _tighten(
    masks: NDArray[np.bool_], bbox: tuple[int, int, int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int, int, int]]:
    """Cut masks (M, h, w) to what they contain."""
    anywhere: NDArray[np.bool_] = np.any(masks, axis=0)
    rows, cols = np.flatnonzero(anywhere.any(1)), np.flatnonzero(anywhere.any(0))
    if not len(rows):
        return np.zeros((len(masks), 1, 1), bool), (bbox[0], bbox[1], bbox[0] + 1, bbox[1] + 1)
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
    cut = np.ascontiguousarray(masks[:, y0:y1, x0:x1])
    return cut, (bbox[0] + int(y0), bbox[1] + int(x0), bbox[0] + int(y1), bbox[1] + int(x1))
