"""All objects of a region at once: dense maps, blended over overlapping windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.windows import Window, ladder_side, whole_window
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_HALF_RUNG = 2**0.25  # a ladder's nearest side, not the next larger one
_MOST_PX = 1 << 26  # of a region held in memory: maps, smoothed copies and the watershed take some 45 bytes each
_TAPER = 0.05  # a window's weight at its very border, against 1 in its middle


NATURAL_PX = 80.0
"""Diameter of an object, in pixels of the network's input, that the dense decoder sees best (on train splits)."""


def check_region(
    region: tuple[int, int, int, int] | None, image_shape: tuple[int, int], most_px: int | None = _MOST_PX
) -> Box:
    """A region (y0, x0, y1, x1) cut to the image; all of it for None.

    Raises
    ------
    PromptError
        If it is empty, lies outside, or its maps would not fit into memory.
    """
    y0, x0, y1, x1 = (0, 0, *image_shape) if region is None else region
    if y1 <= y0 or x1 <= x0:
        raise PromptError(f"region {region} is empty: y1 must exceed y0 and x1 exceed x0")
    bbox = Box(int(y0), int(x0), int(y1), int(x1)).clip(image_shape)
    height, width = bbox.shape
    if bbox.is_empty:
        raise PromptError(f"region {region}: outside the image of shape {image_shape}; give (y0, x0, y1, x1) in it")
    if most_px is not None and height * width > most_px:
        raise PromptError(
            f"region of {height} x {width} pixels: more than {most_px} at once; give a smaller region=(y0, x0, y1, x1)"
        )
    return bbox


def cover(bbox: tuple[int, int, int, int], image_shape: tuple[int, int], side: int, img_size: int) -> list[Window]:
    """Windows of one side, half a window apart, that cover a region; the grid is that of prompts.

    Parameters
    ----------
    bbox : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    image_shape : (int, int)
        Height and width of level 0.
    side : int
        Side of the windows, level-0 pixels.
    img_size : int
        Side of the network's input.

    Examples
    --------
    >>> [w.bbox for w in cover((0, 0, 700, 512), (700, 512), 512, 512)]
    [(0, 0, 512, 512), (188, 0, 700, 512)]
    """
    if side >= max(image_shape):
        return [whole_window(image_shape, img_size)]
    spans = []
    for axis in (0, 1):
        low, high, size = bbox[axis], bbox[axis + 2], image_shape[axis]
        step = side / 2
        first = max(0, int(low // step) - 1)
        starts = {max(0, min(round(k * step), size - side)) for k in range(first, int(np.ceil(high / step)) + 1)}
        spans.append([(s, min(s + side, size)) for s in sorted(starts) if s < high and s + side > low])
    return [Window((y0, x0, y1, x1), img_size) for y0, y1 in spans[0] for x0, x1 in spans[1]]


def dense_side(diameter_px: float | None, img_size: int, image_shape: tuple[int, int]) -> int:
    """Side of the windows for dense maps, level-0 pixels.

    Without a diameter that is full resolution, or the whole image where it fits the network.

    Examples
    --------
    >>> dense_side(None, 512, (300, 200)), dense_side(80, 512, (300, 200)), dense_side(300, 512, (9000, 9000))
    (300, 512, 2048)
    """
    if diameter_px is None:
        return min(max(image_shape), img_size)
    return ladder_side(img_size * diameter_px / NATURAL_PX / _HALF_RUNG, img_size)


def blend(
    windows: list[Window],
    maps_of: Callable[[Window], NDArray[np.float32]],
    bbox: tuple[int, int, int, int],
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Average the maps of overlapping windows, each counting most in its middle.

    Parameters
    ----------
    windows : list of Window
        They cover the region.
    maps_of : callable
        Gives (3, h, w) maps of a window, in level-0 pixels.
    bbox : (int, int, int, int)
        The region (y0, x0, y1, x1).
    progress : callable, optional
        Called with windows done and their number.

    Returns
    -------
    ndarray of float32
        (3, H, W) of the region.
    """
    top, left, bottom, right = bbox
    total = np.zeros((3, bottom - top, right - left), np.float32)
    weight = np.zeros(total.shape[1:], np.float32)
    for i, window in enumerate(windows):
        y0, x0, y1, x1 = window.bbox
        rows, cols = _taper(y1 - y0), _taper(x1 - x0)
        a, b, c, d = max(y0, top), max(x0, left), min(y1, bottom), min(x1, right)
        own = rows[a - y0 : c - y0, None] * cols[None, b - x0 : d - x0]
        there = (slice(a - top, c - top), slice(b - left, d - left))
        total[(slice(None), *there)] += maps_of(window)[:, a - y0 : c - y0, b - x0 : d - x0] * own
        weight[there] += own
        if progress is not None:
            progress(i + 1, len(windows))
    total /= weight
    return total


def _taper(size: int) -> NDArray[np.float32]:
    """Weights along a window: a raised cosine above a small floor, so that no pixel is without weight."""
    at = (np.arange(size) + 0.5) / size
    out: NDArray[np.float32] = (_TAPER + (1 - _TAPER) * np.sin(np.pi * at) ** 2).astype(np.float32)
    return out
