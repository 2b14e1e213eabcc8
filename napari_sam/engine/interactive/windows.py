"""Windows: the square a network sees, laid on the image at a magnification that suits the prompt.

Window sides form a ladder, a factor of the square root of two apart, and windows of one side lie on a grid half a
window apart, so that an embedding computed once is found again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import Prompt

_RATIO = math.sqrt(2.0)
_CONTEXT = 4.0  # side of the window over the long side of the object, at least (dev split: 4 beats 2.5 with boxes)
_MAGNIFY = 8.0  # more than this a window is never magnified
_CUT_PX = 2.0  # a mask that comes so near to its window's border, in pixels of the network's input, may go on beyond
_READ_LIMIT = 2  # a region is read at most this much finer than the network sees it, along each axis

LARGEST_MASK_PX = 1 << 28
"""Pixels that the crop of one mask may have: 16384 x 16384, 256 MiB."""


@dataclass(frozen=True)
class Window:
    """The region of the image that fills the network's square.

    Attributes
    ----------
    bbox : (int, int, int, int)
        (y0, x0, y1, x1) in level-0 pixels, half-open, inside the image.
    img_size : int
        Side of the network's input, in pixels; the long side of `bbox` is scaled to it.
    """

    bbox: tuple[int, int, int, int]
    img_size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in level-0 pixels."""
        y0, x0, y1, x1 = self.bbox
        return y1 - y0, x1 - x0

    @property
    def network_shape(self) -> tuple[int, int]:
        """Height and width of the region in the network's input, in pixels; the rest is padding.

        >>> Window((0, 0, 303, 384), 1024).network_shape
        (808, 1024)
        """
        h, w = self.shape
        scale = self.img_size / max(h, w)
        return max(1, int(h * scale + 0.5)), max(1, int(w * scale + 0.5))

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the network's input per level-0 pixel, along y and x."""
        (h, w), (nh, nw) = self.shape, self.network_shape
        return nh / h, nw / w

    def to_network(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, 2) level-0 coordinates to the network's frame, the way SAM's ResizeLongestSide scales them."""
        out: NDArray[np.float64] = (yx - np.array(self.bbox[:2])) * np.array(self.scale)
        return out

    def from_network(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Centres of network pixels (P, 2) in level-0 coordinates (pixel centres are integers)."""
        out: NDArray[np.float64] = (yx + 0.5) / np.array(self.scale) - 0.5 + np.array(self.bbox[:2])
        return out

    def holds(self, extent: tuple[float, float, float, float]) -> bool:
        """Whether (y0, x0, y1, x1) lies inside."""
        y0, x0, y1, x1 = self.bbox
        return extent[0] >= y0 - 0.5 and extent[1] >= x0 - 0.5 and extent[2] <= y1 and extent[3] <= x1

    def inner_sides(self, image_shape: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
        """Whether the image goes on beyond the top, left, bottom and right side."""
        y0, x0, y1, x1 = self.bbox
        return y0 > 0, x0 > 0, y1 < image_shape[0], x1 < image_shape[1]


@dataclass(frozen=True)
class Hints:
    """What is known of the object's size besides the prompts.

    Attributes
    ----------
    diameter_px : float or None
        Diameter of a typical object that the user gave, level-0 pixels.
    view_px : float or None
        Long side of the region that the viewer shows, level-0 pixels.
    last_px : float or None
        Long side of the last accepted object, level-0 pixels.
    """

    diameter_px: float | None = None
    view_px: float | None = None
    last_px: float | None = None


def ladder_side(wanted: float, img_size: int) -> int:
    """The smallest side of the ladder that is at least `wanted`, but never magnified beyond the limit.

    Parameters
    ----------
    wanted : float
        In level-0 pixels.
    img_size : int
        Side of the network's input: the rung that is neither magnified nor reduced.

    Examples
    --------
    >>> ladder_side(513, 512), ladder_side(1000, 512), ladder_side(3, 512)
    (724, 1024, 64)
    """
    rung = math.ceil(math.log(max(wanted, 1e-6) / img_size, _RATIO) - 1e-9)
    lowest = math.ceil(math.log(1 / _MAGNIFY, _RATIO) - 1e-9)
    return round(img_size * _RATIO ** max(rung, lowest))


def grid_window(centre: tuple[float, float], side: int, image_shape: tuple[int, int], img_size: int) -> Window:
    """The window of the half-overlapping grid whose middle is nearest to `centre`.

    Parameters
    ----------
    centre : (float, float)
        (y, x), level-0 pixels.
    side : int
        Side of the window, level-0 pixels.
    image_shape : (int, int)
        Windows are moved inwards at the image's border, and cut where the image is smaller.
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
    """The window that shows the whole image, as the reference SAM feeds it."""
    return Window((0, 0, image_shape[0], image_shape[1]), img_size)


def choose_window(prompt: Prompt, image_shape: tuple[int, int], img_size: int, hints: Hints) -> Window:
    """The window for a prompt: the object well inside, everything prompted in it.

    An image no larger than the network's input is always seen whole. Otherwise the size comes from the prompt's own
    extent, the user's diameter, the view, or the last accepted object, in this order.

    Parameters
    ----------
    prompt : Prompt
        What was asked.
    image_shape : (int, int)
        Height and width of level 0.
    img_size : int
        Side of the network's input.
    hints : Hints
        What else is known.

    Returns
    -------
    Window
    """
    long_side = max(image_shape)
    if long_side <= img_size:
        return whole_window(image_shape, img_size)
    if prompt.window is not None and prompt.window.holds(prompt.extent):
        return prompt.window
    side = _wanted_side(prompt, img_size, hints)
    y0, x0, y1, x1 = extent = prompt.extent
    earlier = _earlier_extent(prompt)
    if earlier is not None:  # what was found is asked about, too
        y0, x0, y1, x1 = extent = (min(y0, earlier[0]), min(x0, earlier[1]), max(y1, earlier[2]), max(x1, earlier[3]))
        side = max(side, _CONTEXT * max(earlier[2] - earlier[0], earlier[3] - earlier[1]))
    while True:
        side = ladder_side(side, img_size)
        if side >= long_side:
            return whole_window(image_shape, img_size)
        window = grid_window(((y0 + y1) / 2, (x0 + x1) / 2), side, image_shape, img_size)
        if window.holds(extent):
            return window
        side = side + 1


def _earlier_extent(prompt: Prompt) -> tuple[float, float, float, float] | None:
    """(y0, x0, y1, x1) of an earlier prediction's mask, level-0 pixels; None without one."""
    if prompt.logits is None or prompt.window is None:
        return None
    window, cell = prompt.window, prompt.window.img_size / prompt.logits.shape[-1]
    spans = []
    for axis in (0, 1):
        used = math.ceil(window.network_shape[axis] / cell)
        hits = np.flatnonzero(np.atleast_1d(np.any(prompt.logits > 0, axis=1 - axis))[:used])
        if not len(hits):
            return None
        low, high = (n * cell / window.scale[axis] + window.bbox[axis] for n in (hits[0], hits[-1] + 1))
        spans.append((low, min(high, float(window.bbox[axis + 2]))))
    (y0, y1), (x0, x1) = spans
    return y0, x0, y1, x1


def _wanted_side(prompt: Prompt, img_size: int, hints: Hints) -> float:
    """Side of the window that the object's presumed size asks for, level-0 pixels."""
    if prompt.box is not None or prompt.mask is not None:
        return _CONTEXT * prompt.object_px
    least = _CONTEXT * prompt.object_px  # several points: the object is at least as large as their spread
    if hints.diameter_px:
        return max(least, _CONTEXT * hints.diameter_px)
    if hints.view_px:
        return max(least, min(hints.view_px, img_size), hints.view_px / 2)
    if hints.last_px:
        return max(least, _CONTEXT * hints.last_px)
    return max(least, img_size)  # full resolution


def cut_by(logits: NDArray[np.float32], window: Window, image_shape: tuple[int, int]) -> bool:
    """Whether a mask reaches its window's border, or comes within two network pixels of it, where the image goes on.

    Parameters
    ----------
    logits : ndarray of float32
        (H, W) low-res logits of the mask in the window's frame.
    window : Window
        Where it was found.
    image_shape : (int, int)
        Height and width of level 0.
    """
    cell = window.img_size / logits.shape[-1]
    rows, cols = (min(len(logits), math.ceil(n / cell)) for n in window.network_shape)
    near = max(1, int(_CUT_PX / cell + 0.5))  # rows of logits whose middle is that near
    seen = logits[:rows, :cols] > 0
    sides = (seen[:near], seen[:, :near], seen[-near:], seen[:, -near:])
    return any(goes_on and bool(s.any()) for goes_on, s in zip(window.inner_sides(image_shape), sides, strict=True))


def coarser_window(
    window: Window, found: tuple[float, float, float, float], shape: tuple[int, int], factor: float = 2.0
) -> Window | None:
    """The next window for a mask that is cut by its window's border.

    Parameters
    ----------
    window : Window
        Where the mask was found.
    found : (float, float, float, float)
        Bounding box of the mask and its prompts, level-0 pixels.
    shape : (int, int)
        Height and width of level 0.
    factor : float
        Its side over that of `window`.

    Returns
    -------
    Window or None
        Twice the side, centred on what was found, which it holds if `window` does; None if the window is the
        whole image already.

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
    y0, x0, y1, x1 = found
    return grid_window(((y0 + y1) / 2, (x0 + x1) / 2), side, shape, window.img_size)


def source_region(levels: Sequence[tuple[int, int]], window: Window) -> tuple[int, tuple[int, int, int, int], int]:
    """What to read for a window: the coarsest scale level that is at least as fine as the network sees it.

    Parameters
    ----------
    levels : sequence of (int, int)
        Shape of every scale level, finest first.
    window : Window
        Where.

    Returns
    -------
    level : int
        Which scale level.
    region : (int, int, int, int)
        (y0, x0, y1, x1) in that level's pixels. Where each level is half the size of the one before, it has at most
        twice as many pixels as the network's input.
    step : int
        Read every `step`-th pixel, where the level is many times finer than need be.

    Examples
    --------
    >>> source_region([(4096, 4096), (2048, 2048)], Window((1024, 2048, 2048, 3072), 512))
    (1, (512, 1024, 1024, 1536), 1)
    """
    wanted = max(window.scale)  # pixels of the network's input per level-0 pixel
    level = 0
    for i, shape in enumerate(levels):
        if max(shape) / max(levels[0]) >= min(wanted, 1.0) * 0.999:
            level = i
    finer = (max(levels[level]) / max(levels[0])) / wanted
    factors = [levels[0][i] / levels[level][i] for i in (0, 1)]
    y0, x0, y1, x1 = window.bbox
    h, w = levels[level]
    top, left = int(y0 / factors[0]), int(x0 / factors[1])
    bottom = min(h, max(top + 1, round(y1 / factors[0])))
    right = min(w, max(left + 1, round(x1 / factors[1])))
    return level, (top, left, bottom, right), max(1, int(finer / _READ_LIMIT))
