"""Windows: the square region that a network sees, laid on an image at some magnification.

The sides of windows form a ladder whose rungs are a factor of the square root of two apart. Windows of one side lie on
a grid half a window apart, so that nearby prompts share a window and its cached embedding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CONTEXT = 4.0
"""Smallest ratio of a window's side to the long side of the object in it (4 beats 2.5 with boxes on the dev split)."""

LARGEST_MASK_PX = 1 << 28
"""Largest number of pixels in the crop of one mask: 16384 x 16384, 256 MiB."""

_RATIO = math.sqrt(2.0)
_MAX_MAGNIFICATION = 8.0
_CUT_PX = 2.0  # pixels of the network's input: a mask closer to its window's border may continue beyond it
_READ_LIMIT = 2  # regions are read at most this much finer than the network sees them, along each axis


@dataclass(frozen=True)
class Window:
    """A region of the image that fills the network's square input.

    Attributes
    ----------
    bbox : (int, int, int, int)
        (y0, x0, y1, x1) in level-0 pixels, half-open, inside the image.
    img_size : int
        Side of the network's input, in pixels; the long side of `bbox` is scaled to it, or both sides where it is an
        `InputSize` that stretches.
    """

    bbox: tuple[int, int, int, int]
    img_size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in level-0 pixels."""
        y0, x0, y1, x1 = self.bbox
        return y1 - y0, x1 - x0

    @property
    def stretches(self) -> bool:
        """Whether the region is stretched to the network's input instead of padded."""
        return getattr(self.img_size, "stretches", False)

    @property
    def network_shape(self) -> tuple[int, int]:
        """Height and width of the region in the network's input, in pixels; the rest is padding.

        >>> Window((0, 0, 303, 384), 1024).network_shape
        (808, 1024)
        """
        if self.stretches:
            return int(self.img_size), int(self.img_size)
        h, w = self.shape
        scale = self.img_size / max(h, w)
        return max(1, int(h * scale + 0.5)), max(1, int(w * scale + 0.5))

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the network's input per level-0 pixel, along y and x."""
        (h, w), (nh, nw) = self.shape, self.network_shape
        return nh / h, nw / w

    def to_network(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert (P, 2) level-0 coordinates to the network's frame, as SAM's ResizeLongestSide scales them."""
        out: NDArray[np.float64] = (yx - np.array(self.bbox[:2])) * np.array(self.scale)
        return out

    def from_network(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert centres of network pixels (P, 2) to level-0 coordinates (pixel centres are integers)."""
        out: NDArray[np.float64] = (yx + 0.5) / np.array(self.scale) - 0.5 + np.array(self.bbox[:2])
        return out

    def holds(self, extent: tuple[float, float, float, float]) -> bool:
        """Return whether (y0, x0, y1, x1) lies inside."""
        y0, x0, y1, x1 = self.bbox
        return extent[0] >= y0 - 0.5 and extent[1] >= x0 - 0.5 and extent[2] <= y1 and extent[3] <= x1

    def inner_sides(self, image_shape: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
        """Return whether the image continues beyond the top, left, bottom and right side."""
        y0, x0, y1, x1 = self.bbox
        return y0 > 0, x0 > 0, y1 < image_shape[0], x1 < image_shape[1]


@dataclass(frozen=True)
class Hints:
    """Knowledge about the object's size besides the prompts.

    Attributes
    ----------
    diameter_px : float or None
        Diameter of a typical object as given by the user, level-0 pixels.
    view_px : float or None
        Long side of the region that the viewer shows, level-0 pixels.
    last_px : float or None
        Long side of the last accepted object, level-0 pixels.
    """

    diameter_px: float | None = None
    view_px: float | None = None
    last_px: float | None = None

    def window_side(self, img_size: int, least: float = 0.0) -> float:
        """Return the side of a window that suits the object, level-0 pixels.

        Parameters
        ----------
        img_size : int
            Side of the network's input; without any hint the window shows full resolution.
        least : float
            Lower bound, level-0 pixels.
        """
        if self.diameter_px:
            return max(least, CONTEXT * self.diameter_px)
        if self.view_px:
            return max(least, min(self.view_px, img_size), self.view_px / 2)
        if self.last_px:
            return max(least, CONTEXT * self.last_px)
        return max(least, img_size)


def ladder_side(least: float, img_size: int) -> int:
    """Return the smallest side of the ladder from `least` up, limited by the largest magnification.

    Parameters
    ----------
    least : float
        Lower bound of the side, level-0 pixels.
    img_size : int
        Side of the network's input: the rung that is neither magnified nor reduced.

    Examples
    --------
    >>> ladder_side(513, 512), ladder_side(1000, 512), ladder_side(3, 512)
    (724, 1024, 64)
    """
    rung = math.ceil(math.log(max(least, 1e-6) / img_size, _RATIO) - 1e-9)
    lowest = math.ceil(math.log(1 / _MAX_MAGNIFICATION, _RATIO) - 1e-9)
    return round(img_size * _RATIO ** max(rung, lowest))


def grid_window(centre: tuple[float, float], side: int, image_shape: tuple[int, int], img_size: int) -> Window:
    """Return the window of the half-overlapping grid whose centre is nearest to `centre`.

    Parameters
    ----------
    centre : (float, float)
        (y, x), level-0 pixels.
    side : int
        Side of the window, level-0 pixels.
    image_shape : (int, int)
        Height and width of level 0. Windows are moved inwards at its border, and cut where it is smaller.
    img_size : int
        Side of the network's input.

    Examples
    --------
    >>> grid_window((1000, 1300), 512, (4000, 4000), 512).bbox
    (768, 1024, 1280, 1536)
    >>> grid_window((3999, 5), 512, (4000, 4000), 512).bbox
    (3488, 0, 4000, 512)
    """
    spans = []
    for middle, size in zip(centre, image_shape, strict=True):
        step = side / 2
        start = round(round((middle - side / 2) / step) * step)
        start = max(0, min(start, size - side))
        spans.append((start, min(start + side, size)))
    (y0, y1), (x0, x1) = spans
    return Window((y0, x0, y1, x1), img_size)


def whole_window(image_shape: tuple[int, int], img_size: int) -> Window:
    """Return the window that shows the whole image, as the reference SAM sees it."""
    return Window((0, 0, image_shape[0], image_shape[1]), img_size)


def window_around(
    extent: tuple[float, float, float, float], side: float, image_shape: tuple[int, int], img_size: int
) -> Window:
    """Return the smallest window from `side` up that holds a region; the whole image where none does.

    Parameters
    ----------
    extent : (float, float, float, float)
        (y0, x0, y1, x1), level-0 pixels.
    side : float
        Lower bound of the window's side, level-0 pixels.
    image_shape, img_size
        As in `grid_window`.

    Examples
    --------
    >>> window_around((10, 500, 40, 530), 100, (4000, 4000), 512).bbox
    (0, 448, 128, 576)
    """
    y0, x0, y1, x1 = extent
    while True:
        side = ladder_side(side, img_size)
        if side >= max(image_shape):
            return whole_window(image_shape, img_size)
        window = grid_window(((y0 + y1) / 2, (x0 + x1) / 2), side, image_shape, img_size)
        if window.holds(extent):
            return window
        side += 1


def click_window(point: tuple[float, float], image_shape: tuple[int, int], img_size: int, hints: Hints) -> Window:
    """Return the window that answers a single foreground point.

    Parameters
    ----------
    point : (float, float)
        (y, x), level-0 pixels, inside the image.
    image_shape, img_size
        As in `grid_window`.
    hints : Hints
        Knowledge about the object's size.
    """
    if max(image_shape) <= img_size:
        return whole_window(image_shape, img_size)
    return window_around((*point, *point), hints.window_side(img_size), image_shape, img_size)


def cut_by(logits: NDArray[np.float32], window: Window, image_shape: tuple[int, int]) -> bool:
    """Return whether a mask reaches, to two network pixels, a border of its window where the image continues.

    Parameters
    ----------
    logits : ndarray of float32
        (H, W) low-res logits of the mask in the window's frame.
    window : Window
        Window of the mask.
    image_shape : (int, int)
        Height and width of level 0.
    """
    cell = window.img_size / logits.shape[-1]
    rows, cols = (min(len(logits), math.ceil(n / cell)) for n in window.network_shape)
    near = max(1, int(_CUT_PX / cell + 0.5))  # number of rows of logits whose middle is that near
    inside = logits[:rows, :cols] > 0
    edges = (inside[:near], inside[:, :near], inside[-near:], inside[:, -near:])
    return any(inner and bool(edge.any()) for inner, edge in zip(window.inner_sides(image_shape), edges, strict=True))


def coarser_window(
    window: Window, extent: tuple[float, float, float, float], shape: tuple[int, int], factor: float = 2.0
) -> Window | None:
    """Return the next coarser window, for a mask that is cut by its window's border.

    Parameters
    ----------
    window : Window
        Window of the mask.
    extent : (float, float, float, float)
        Bounding box of the mask and its prompts, level-0 pixels.
    shape : (int, int)
        Height and width of level 0.
    factor : float
        Ratio of the new side to that of `window`.

    Returns
    -------
    Window or None
        Centred on `extent`, which it holds if `window` does; None if `window` is the whole image already.

    Examples
    --------
    >>> coarser_window(Window((0, 512, 512, 1024), 512), (10, 512, 300, 900), (4000, 4000)).bbox
    (0, 0, 1024, 1024)
    """
    if max(window.shape) >= max(shape):
        return None
    side = ladder_side(factor * max(window.shape), window.img_size)
    if side >= max(shape):
        return whole_window(shape, window.img_size)
    y0, x0, y1, x1 = extent
    return grid_window(((y0 + y1) / 2, (x0 + x1) / 2), side, shape, window.img_size)


def source_region(levels: Sequence[tuple[int, int]], window: Window) -> tuple[int, tuple[int, int, int, int], int]:
    """Return what to read for a window, from the coarsest scale level that is at least as fine as the network sees it.

    Parameters
    ----------
    levels : sequence of (int, int)
        Shape of every scale level, finest first.
    window : Window
        The window.

    Returns
    -------
    level : int
        Index of the scale level.
    region : (int, int, int, int)
        (y0, x0, y1, x1) in that level's pixels. Where each level is half the size of the previous one, the region has
        at most twice as many pixels as the network's input.
    step : int
        Read every `step`-th pixel, where the level is many times finer than needed.

    Examples
    --------
    >>> source_region([(4096, 4096), (2048, 2048)], Window((1024, 2048, 2048, 3072), 512))
    (1, (512, 1024, 1024, 1536), 1)
    """
    # Pixels of the network's input per level-0 pixel, along the longer side: it is rounded the least.
    scale = window.scale[int(window.shape[1] > window.shape[0])]
    level = 0
    for i, shape in enumerate(levels):
        if max(shape) / max(levels[0]) >= min(scale, 1.0) * 0.999:
            level = i
    excess = (max(levels[level]) / max(levels[0])) / scale
    factors = [levels[0][i] / levels[level][i] for i in (0, 1)]
    y0, x0, y1, x1 = window.bbox
    h, w = levels[level]
    top, left = int(y0 / factors[0]), int(x0 / factors[1])
    bottom = min(h, max(top + 1, round(y1 / factors[0])))
    right = min(w, max(left + 1, round(x1 / factors[1])))
    return level, (top, left, bottom, right), max(1, int(excess / _READ_LIMIT))


def source_shape(levels: Sequence[tuple[int, int]], window: Window) -> tuple[int, int]:
    """Return height and width of what is read for a window (`source_region`), in pixels.

    >>> source_shape([(4096, 4096), (2048, 2048)], Window((1024, 2048, 2048, 3072), 512))
    (512, 512)
    """
    _, (y0, x0, y1, x1), step = source_region(levels, window)
    return -(-(y1 - y0) // step), -(-(x1 - x0) // step)
