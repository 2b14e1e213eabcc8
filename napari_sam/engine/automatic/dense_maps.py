"""Dense maps of a region: foreground and distances, blended over overlapping windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.windows import Window, ladder_side, whole_window
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NATURAL_PX = 80.0
"""Diameter of an object, in pixels of the network's input, that the dense decoder segments best (on train splits)."""

_HALF_RUNG = 2**0.25  # rounds to the nearest side of the ladder, not to the next larger one
_MAX_REGION_PX = 1 << 26  # maps, smoothed copies and the watershed take some 45 bytes for each pixel
_TAPER = 0.05  # a window's weight at its border, relative to its middle


def check_region(
    region: tuple[int, int, int, int] | None, image_shape: tuple[int, int], most_px: int | None = _MAX_REGION_PX
) -> Box:
    """Return a region clipped to the image; the whole image for None.

    Parameters
    ----------
    region : (int, int, int, int) or None
        (y0, x0, y1, x1), level-0 pixels, half-open.
    image_shape : (int, int)
        Height and width of level 0.
    most_px : int or None
        Largest number of pixels; None for no limit.

    Raises
    ------
    PromptError
        If the region is empty, lies outside the image, or is too large.
    """
    y0, x0, y1, x1 = (0, 0, *image_shape) if region is None else region
    if y1 <= y0 or x1 <= x0:
        raise PromptError(
            f"region {region} is empty", parameter="region", remedy="give y1 greater than y0 and x1 greater than x0"
        )
    clipped = Box(int(y0), int(x0), int(y1), int(x1)).clip(image_shape)
    if clipped.is_empty:
        raise PromptError(
            f"region {region} lies outside the image of shape {image_shape}",
            parameter="region",
            remedy="give (y0, x0, y1, x1) inside the image",
        )
    if most_px is not None and clipped.area > most_px:
        raise PromptError(
            f"region of {clipped.height} x {clipped.width} pixels has more than {most_px}, the most at once",
            parameter="region",
            remedy="give a smaller {region}",
        )
    return clipped


def cover(bbox: tuple[int, int, int, int], image_shape: tuple[int, int], side: int, img_size: int) -> list[Window]:
    """Return windows of one side, half a window apart, that cover a region; their grid is that of prompts.

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
    """Return the side of the windows for dense maps, level-0 pixels.

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
    """Average the maps of overlapping windows, each weighted most in its middle.

    Parameters
    ----------
    windows : list of Window
        They cover the region.
    maps_of : callable
        Returns the (3, h, w) maps of a window, in level-0 pixels.
    bbox : (int, int, int, int)
        The region (y0, x0, y1, x1).
    progress : callable, optional
        Called with the number of windows done and their total.

    Returns
    -------
    ndarray of float32
        (3, H, W) of the region.
    """
    region = Box(*bbox)
    total = np.zeros((3, *region.shape), np.float32)
    weight = np.zeros(region.shape, np.float32)
    for i, window in enumerate(windows):
        frame = Box(*window.bbox)
        common = region.intersection(frame)
        in_window = common.shift(-frame.y0, -frame.x0).slices
        in_region = common.shift(-region.y0, -region.x0).slices
        weights = _taper(frame.height)[in_window[0], None] * _taper(frame.width)[None, in_window[1]]
        total[(slice(None), *in_region)] += maps_of(window)[(slice(None), *in_window)] * weights
        weight[in_region] += weights
        if progress is not None:
            progress(i + 1, len(windows))
    total /= weight
    return total


def _taper(size: int) -> NDArray[np.float32]:
    """Return weights along a window: a raised cosine above a small floor, so that every pixel has some weight."""
    share = (np.arange(size) + 0.5) / size
    weights: NDArray[np.float32] = (_TAPER + (1 - _TAPER) * np.sin(np.pi * share) ** 2).astype(np.float32)
    return weights
