"""Render masks in image pixels from fields of logits."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.logit_fields import MASK_THRESHOLD, LogitField, LogitGrid
from napari_sam.engine.interactive.mask_cleanup import tidy_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.windows import Window

_TILE_PX = 1024


def render(field: LogitField, bbox: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Render the mask of a field in a region, tile by tile.

    Parameters
    ----------
    field : LogitField
        The field.
    bbox : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.

    Returns
    -------
    ndarray of bool
        (y1 - y0, x1 - x0). It needs memory for one tile of 1024 x 1024 in addition.
    """
    region = Box(*bbox)
    mask = np.zeros(region.shape, bool)
    span = field.span()
    if span is None:
        return mask
    y0, x0, y1, x1 = region.intersection(span)
    for top in range(y0, y1, _TILE_PX):
        for left in range(x0, x1, _TILE_PX):
            tile = Box(top, left, min(top + _TILE_PX, y1), min(left + _TILE_PX, x1))
            uniform = field.uniform(tile)
            values = (field.sample(tile) > MASK_THRESHOLD).numpy() if uniform is None else uniform
            mask[tile.shift(-region.y0, -region.x0).slices] = values
    return mask


def render_masks(
    fields: Sequence[LogitField], window: Window, seeds: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.bool_], Box]:
    """Render the masks of several fields as one array, tight around them all.

    Parameters
    ----------
    fields : sequence of LogitField
        One for each mask.
    window : Window
        Window of the fields; empty masks give one pixel of background at its corner.
    seeds : ndarray of float, optional
        (P, 2) foreground points, level-0 pixels, to tidy the masks with (`tidy_mask`).

    Returns
    -------
    masks : ndarray of bool
        (M, h, w).
    bbox : Box
        (y0, x0, y1, x1), level-0 pixels, half-open. With `seeds`, tight around the masks before they are tidied.
    """
    region = common_span(fields)
    if region is None:
        return np.zeros((len(fields), 1, 1), bool), _corner_pixel(window.bbox)
    masks, bbox = _tighten(np.stack([render(field, region) for field in fields]), region)
    if seeds is not None:
        masks = np.stack([tidy_mask(mask, seeds - bbox[:2]) for mask in masks])
    return masks, bbox


def upsample_masks(logits: NDArray[np.float32], window: Window) -> tuple[NDArray[np.bool_], Box]:
    """Render masks in level-0 pixels from low-res logits, only where there is foreground.

    Parameters
    ----------
    logits : ndarray of float32
        (M, H, W) in the window's frame, padding included.
    window : Window
        Window of the logits.

    Returns
    -------
    masks : ndarray of bool
        (M, h, w).
    bbox : Box
        (y0, x0, y1, x1) of the masks, level-0 pixels, half-open, tight around all M masks. Empty masks give one
        pixel of background at the window's corner.

    Notes
    -----
    Bilinear interpolation of logits with aligned pixel centres, then the threshold: SAM's two resizings in one.
    """
    return render_masks([LogitGrid(values, window) for values in logits], window)


def common_span(fields: Sequence[LogitField]) -> Box | None:
    """Return the region outside of which all fields are background; None if they are background everywhere."""
    spans = [span for span in (field.span() for field in fields) if span is not None]
    return reduce(Box.union, spans) if spans else None


def _tighten(masks: NDArray[np.bool_], bbox: Box) -> tuple[NDArray[np.bool_], Box]:
    """Crop masks (M, h, w) to their foreground."""
    anywhere: NDArray[np.bool_] = np.any(masks, axis=0)
    rows, cols = np.flatnonzero(anywhere.any(1)), np.flatnonzero(anywhere.any(0))
    if not len(rows):
        return np.zeros((len(masks), 1, 1), bool), _corner_pixel(bbox)
    crop = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    return np.ascontiguousarray(masks[(slice(None), *crop.slices)]), crop.shift(bbox.y0, bbox.x0)


def _corner_pixel(bbox: tuple[int, int, int, int]) -> Box:
    return Box(bbox[0], bbox[1], bbox[0] + 1, bbox[1] + 1)
