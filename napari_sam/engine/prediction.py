"""What the engine answers: masks in image pixels, with scores, and how logits become them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.prompts import Prompt
    from napari_sam.engine.windows import Window

_STABILITY_OFFSET = 1.0
MASK_THRESHOLD = 0.0
_CHUNK_PIXELS = 1 << 22


@dataclass(frozen=True)
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
        Sides of the windows that were asked, in level-0 pixels; the last gave the answer.
    model : str
        Name of the model.
    prompt : Prompt
        What was asked.
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

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The best mask, (h, w)."""
        out: NDArray[np.bool_] = self.masks[self.best]
        return out

    def full_mask(self, shape: tuple[int, int], index: int | None = None) -> NDArray[np.bool_]:
        """A mask in an array of the image's shape; for small images only."""
        out = np.zeros(shape, bool)
        y0, x0, y1, x1 = self.bbox
        out[y0:y1, x0:x1] = self.masks[self.best if index is None else index]
        return out


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
    y0, x0, y1, x1 = window.bbox
    side = logits.shape[-1]
    cell = window.img_size / side  # pixels of the network's input per logit
    used = tuple(min(side, -(-n // max(1, round(cell))) + 1) for n in window.network_shape)
    inside: NDArray[np.bool_] = np.any(logits[:, : used[0], : used[1]] > MASK_THRESHOLD, axis=0)
    if not inside.any():
        return np.zeros((len(logits), 1, 1), bool), (y0, x0, y0 + 1, x0 + 1)
    spans = []
    for axis, (low, high) in enumerate(((y0, y1), (x0, x1))):
        hits = np.flatnonzero(inside.any(1 - axis))
        scale = window.scale[axis] / cell  # logits per level-0 pixel
        first = max(low, low + int(np.floor((hits[0] - 0.5) / scale)) - 1)
        last = min(high, low + int(np.ceil((hits[-1] + 1.5) / scale)) + 1)
        centres = (np.arange(first - low, last - low) + 0.5) * scale - 0.5
        spans.append((first, last, centres))
    (top, bottom, rows), (left, right, cols) = spans
    masks = np.empty((len(logits), bottom - top, right - left), bool)
    values = _interpolate(torch.from_numpy(logits), cols, axis=2)  # columns first, while there are few rows
    some = max(1, _CHUNK_PIXELS // (len(logits) * (right - left)))
    for start in range(0, bottom - top, some):  # a large object's logits are never held at full resolution
        strip = _interpolate(values, rows[start : start + some], axis=1)
        masks[:, start : start + some] = (strip > MASK_THRESHOLD).numpy()
    return _tighten(masks, (top, left, bottom, right))


def _interpolate(values: Tensor, at: NDArray[np.float64], axis: int) -> Tensor:
    """Linear interpolation along an axis at fractional positions, held constant beyond the ends."""
    size = values.shape[axis]
    at = np.clip(at, 0, size - 1)
    low = np.minimum(at.astype(np.int64), max(size - 2, 0))
    share = torch.from_numpy((at - low).astype(np.float32))
    share = share.view([-1 if i == axis else 1 for i in range(values.ndim)])
    a = values.index_select(axis, torch.from_numpy(low))
    b = values.index_select(axis, torch.from_numpy(np.minimum(low + 1, size - 1)))
    return torch.lerp(a, b, share)


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


def mask_bbox(mask: NDArray[np.bool_], origin: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """(y0, x0, y1, x1) of a mask that lies at `origin`, half-open; None if it is empty."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    y, x = origin
    return y + int(rows[0]), x + int(cols[0]), y + int(rows[-1]) + 1, x + int(cols[-1]) + 1
