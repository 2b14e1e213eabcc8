"""Refine the outline of a large object with windows at a finer level, blended without a seam.

A coarse mask says what the object is. Its outline may move by up to two of its low-res logits; farther away, a finer
window only shows whether it segmented the same object. A refined mask is therefore never farther from the coarse one
than the coarse one's own resolution, and where no finer window agrees the coarse outline stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.interactive.logit_fields import MASK_THRESHOLD, Detail, LogitGrid, RefinedField
from napari_sam.engine.interactive.mask_cleanup import pad_edge
from napari_sam.engine.windows import Window, grid_window, ladder_side

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MAX_WINDOWS = 16
"""Largest number of windows along an outline; one that would need more is refined at a coarser level."""

_FINE, _COARSE = 1.0, 2.0  # distances to the coarse outline, in logits, at which only finer or coarse logits count
_MIN_GAIN = 1.4  # smallest ratio of the sides of the coarse and the finer windows
_MAX_GAIN = 16.0  # largest such ratio: smaller windows would show little more than the outline's uncertainty
_CORE = 3 / 16  # outline points this share of the side inside a window need no other window
_MAX_DISAGREEMENT = 0.1  # largest share of differing pixels far from the outline, of the foreground or background
_MIN_CELLS = 16  # smallest number of pixels that such a share is computed of


@dataclass(frozen=True)
class CoarseOutline:
    """The outline of a coarse mask.

    Attributes
    ----------
    coarse : LogitGrid
        Logits of the mask.
    trust : LogitGrid
        Weight of the coarse logits: 1 far from the outline, 0 near it.
    points : ndarray of float
        (P, 2) level-0 positions along the outline.
    """

    coarse: LogitGrid
    trust: LogitGrid
    points: NDArray[np.float64]

    @classmethod
    def of(cls, coarse: LogitGrid) -> CoarseOutline | None:
        """Return the outline of a mask; None if the mask is empty or fills its window."""
        rows, cols = coarse.used
        inside = coarse.values[:rows, :cols] > MASK_THRESHOLD
        if inside.all() or not inside.any():
            return None
        depth = np.where(inside, ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside)) - 0.5
        trust = np.ones_like(coarse.values)
        trust[:rows, :cols] = np.clip((depth - _FINE) / (_COARSE - _FINE), 0, 1)
        return cls(coarse, LogitGrid(pad_edge(trust, rows, cols), coarse.window), _crossings(coarse, inside))

    def refined(self, details: list[Detail]) -> RefinedField | None:
        """Return the mask blended with finer windows; None without any."""
        if not details:
            return None
        return RefinedField(self.coarse, self.trust, tuple(details), math.ceil((_COARSE + 1) * self.coarse.cell_px))


def plan_outline_windows(
    outline: CoarseOutline, finest: int, image_shape: tuple[int, int], limit: int = MAX_WINDOWS
) -> list[Window]:
    """Choose windows of one side along an outline, at the finest level that needs few enough.

    Parameters
    ----------
    outline : CoarseOutline
        Outline of the coarse mask.
    finest : int
        Smallest side of a window, level-0 pixels.
    image_shape : (int, int)
        Height and width of level 0.
    limit : int
        Largest number of windows.

    Returns
    -------
    list of Window
        Of the half-overlapping grid, so that their embeddings are found in the cache; empty if no finer level fits.
    """
    window = outline.coarse.window
    side = ladder_side(max(finest, max(window.shape) / _MAX_GAIN), window.img_size)
    while side * _MIN_GAIN <= max(window.shape):
        windows = _cover_points(outline.points, side, image_shape, window.img_size, limit)
        if windows:
            return windows
        side = ladder_side(side + 1, window.img_size)
    return []


def _cover_points(
    points: NDArray[np.float64], side: int, image_shape: tuple[int, int], img_size: int, limit: int
) -> list[Window]:
    """Choose few grid windows, greedily, that hold every point well inside; none if it takes more than `limit`."""
    step = side / 2
    nearest = np.unique(np.round((points - step) / step).astype(np.int64), axis=0)
    if len(nearest) > 9 * limit:  # a window covers at most nine of these grid positions
        return []
    candidates = list(dict.fromkeys(grid_window(tuple((n + 1) * step), side, image_shape, img_size) for n in nearest))
    covers = np.stack([_well_inside(points, c, image_shape) for c in candidates])
    chosen: list[Window] = []
    uncovered = np.ones(len(points), bool)  # every point is well inside of some candidate
    while uncovered.any():
        if len(chosen) == limit:
            return []
        best = int((covers & uncovered).sum(1).argmax())
        chosen.append(candidates[best])
        uncovered[covers[best]] = False
    return chosen


def _well_inside(points: NDArray[np.float64], window: Window, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    inset = _CORE * max(window.shape)
    top, left, bottom, right = (inset * inner for inner in window.inner_sides(image_shape))
    y0, x0, y1, x1 = window.bbox
    low, high = np.array([y0 + top, x0 + left]), np.array([y1 - bottom, x1 - right])
    inside = (points >= low) & (points <= high)
    return np.asarray(np.all(inside, axis=1))


def deepest_points(outline: CoarseOutline, window: Window, side: int) -> NDArray[np.float64]:
    """Return the pixels of a window deepest inside and deepest outside the coarse mask, to use as prompts.

    Returns
    -------
    ndarray of float
        (2, 2) as (y, x), level-0 pixels: a foreground and a background point.
    """
    rows, cols = LogitGrid(np.empty((side, side), np.float32), window).used
    inside = outline.coarse.cells_of(window, side)[:rows, :cols] > MASK_THRESHOLD
    deepest = []
    for part in (inside, ~inside):
        depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
        deepest.append(np.unravel_index(int(depth.argmax()), depth.shape))
    return window.from_network((np.array(deepest, float) + 0.5) * (window.img_size / side) - 0.5)


def choose_detail(
    outline: CoarseOutline, window: Window, logits: NDArray[np.float32], image_shape: tuple[int, int]
) -> Detail | None:
    """Return the mask of a finer window that agrees best with the coarse one; None if none agrees.

    Parameters
    ----------
    outline : CoarseOutline
        Outline of the coarse mask.
    window : Window
        The finer window.
    logits : ndarray of float32
        (M, H, W) low-res logits of its masks.
    image_shape : (int, int)
        Height and width of level 0.

    Returns
    -------
    Detail or None
    """
    side = logits.shape[-1]
    details = [Detail(LogitGrid(values, window), window.inner_sides(image_shape)) for values in logits]
    middles = (np.arange(side) + 0.5) * (window.img_size / side)
    wy, wx = (details[0].weights(a, middles / window.scale[a] + window.bbox[a]) > 0 for a in (0, 1))
    weighted = np.outer(wy, wx)
    coarse = outline.coarse.cells_of(window, side)[weighted] > MASK_THRESHOLD
    far = outline.trust.cells_of(window, side)[weighted] >= 1
    best, least = None, math.inf
    for detail in details:
        wrong = (detail.grid.values[weighted] > MASK_THRESHOLD) != coarse
        shares = [wrong[part].mean() for part in (far & coarse, far & ~coarse) if part.sum() >= _MIN_CELLS]
        if shares and max(shares) <= _MAX_DISAGREEMENT and wrong.mean() < least:
            best, least = detail, wrong.mean()
    return best


def refine(
    coarse: LogitGrid,
    finest: int,
    image_shape: tuple[int, int],
    decode: Callable[[Window, NDArray[np.float32], NDArray[np.float64]], NDArray[np.float32]],
) -> tuple[RefinedField, int] | None:
    """Improve a mask's outline with finer windows.

    Parameters
    ----------
    coarse : LogitGrid
        The mask, whole, in a coarse window.
    finest : int
        Smallest side of a finer window, level-0 pixels.
    image_shape : (int, int)
        Height and width of level 0.
    decode : callable
        Called, at most `MAX_WINDOWS` times, with a window, the coarse mask as low-res logits in it, and a foreground
        and a background point (2, 2); returns low-res logits (M, H, W).

    Returns
    -------
    (RefinedField, int) or None
        The refined mask and the side of the finer windows; None if no finer window agrees with the mask.
    """
    outline = CoarseOutline.of(coarse)
    if outline is None:
        return None
    side = coarse.values.shape[-1]
    windows = plan_outline_windows(outline, finest, image_shape)
    details = []
    for window in windows:
        logits = decode(window, coarse.cells_of(window, side), deepest_points(outline, window, side))
        detail = choose_detail(outline, window, logits, image_shape)
        if detail is not None:
            details.append(detail)
    field = outline.refined(details)
    return None if field is None else (field, max(windows[0].shape))


def _crossings(grid: LogitGrid, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return level-0 positions between neighbouring logits of which one is inside."""
    cells = []
    for axis in (0, 1):
        index = np.argwhere(np.diff(inside, axis=axis)).astype(float) + 0.5
        index[:, axis] += 0.5
        cells.append(index)
    scale = np.array(grid.window.scale)
    positions: NDArray[np.float64] = np.concatenate(cells) * grid.cell / scale + np.array(grid.window.bbox[:2])
    return positions
