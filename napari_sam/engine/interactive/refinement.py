"""The outline of a large object at a finer level: windows laid along it, blended without a seam.

A coarse mask says what the object is. Its outline may move by up to two of its low-res logits; what a finer window
says farther away only shows whether that window saw the same object. So a refined mask is never farther from the
coarse one than the coarse one's own resolution, and where no finer window agrees the coarse outline stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.interactive.rendering import MASK_THRESHOLD, Detail, LogitGrid, RefinedField
from napari_sam.engine.windows import Window, grid_window, ladder_side

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MOST_WINDOWS = 16
"""An outline that would need more windows is refined at a coarser level instead."""

_FINE, _COARSE = 1.0, 2.0  # logits from the coarse outline: only finer windows count up to here, none from there on
_LEAST_GAIN = 1.4  # a window this much smaller than the coarse one is worth asking
_MOST_GAIN = 16.0  # beyond it a window would see little more than the uncertainty of the coarse outline
_CORE = 3 / 16  # an outline this share of the side inside a window is answered by it alone
_DISAGREEMENT = 0.1  # share of the pixels far from the outline, in or out; a window with more saw something else
_LEAST_CELLS = 16  # fewer say nothing


@dataclass(frozen=True)
class Outline:
    """A coarse mask, ready to be refined.

    Attributes
    ----------
    coarse : LogitGrid
        Its logits.
    trust : LogitGrid
        1 far from the outline, 0 near it.
    points : ndarray of float
        (P, 2) level-0 positions along the outline.
    """

    coarse: LogitGrid
    trust: LogitGrid
    points: NDArray[np.float64]

    @classmethod
    def of(cls, coarse: LogitGrid) -> Outline | None:
        """The outline of a mask; None if the mask is empty or fills its window."""
        rows, cols = coarse.used
        inside = coarse.values[:rows, :cols] > MASK_THRESHOLD
        if inside.all() or not inside.any():
            return None
        depth = np.where(inside, ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside)) - 0.5
        trust = np.ones_like(coarse.values)
        trust[:rows, :cols] = np.clip((depth - _FINE) / (_COARSE - _FINE), 0, 1)
        return cls(coarse, LogitGrid(_extended(trust, rows, cols), coarse.window), _crossings(coarse, inside))

    def refined(self, details: list[Detail]) -> RefinedField | None:
        """The mask with what finer windows say; None if there are none."""
        if not details:
            return None
        return RefinedField(self.coarse, self.trust, tuple(details), math.ceil((_COARSE + 1) * self.coarse.cell_px))


def plan(outline: Outline, finest: int, image_shape: tuple[int, int], most: int = MOST_WINDOWS) -> list[Window]:
    """Windows along an outline, all of one side, at the finest level that needs few enough.

    Parameters
    ----------
    outline : Outline
        Of the coarse mask.
    finest : int
        Smallest side worth asking, level-0 pixels.
    image_shape : (int, int)
        Height and width of level 0.
    most : int
        How many windows at most.

    Returns
    -------
    list of Window
        Of the half-overlapping grid, so that their embeddings are found again; empty if no finer level would do.
    """
    window = outline.coarse.window
    side = ladder_side(max(finest, max(window.shape) / _MOST_GAIN), window.img_size)
    while side * _LEAST_GAIN <= max(window.shape):
        found = _covering(outline.points, side, image_shape, window.img_size, most)
        if found:
            return found
        side = ladder_side(side + 1, window.img_size)
    return []


def _covering(
    points: NDArray[np.float64], side: int, image_shape: tuple[int, int], img_size: int, most: int
) -> list[Window]:
    """Few grid windows that have every point well inside, chosen greedily; none if it takes more than `most`."""
    step = side / 2
    nearest = np.unique(np.round((points - step) / step).astype(np.int64), axis=0)
    if len(nearest) > 9 * most:  # even a window that serves nine neighbours could not do
        return []
    candidates = list(dict.fromkeys(grid_window(tuple((n + 1) * step), side, image_shape, img_size) for n in nearest))
    covers = np.stack([_well_inside(points, c, image_shape) for c in candidates])
    chosen: list[Window] = []
    left = np.ones(len(points), bool)  # each has a window, a quarter of the side inside
    while left.any():
        if len(chosen) == most:
            return []
        best = int((covers & left).sum(1).argmax())
        chosen.append(candidates[best])
        left[covers[best]] = False
    return chosen


def _well_inside(points: NDArray[np.float64], window: Window, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    inset = _CORE * max(window.shape)
    top, left, bottom, right = (inset * goes_on for goes_on in window.inner_sides(image_shape))
    y0, x0, y1, x1 = window.bbox
    low, high = np.array([y0 + top, x0 + left]), np.array([y1 - bottom, x1 - right])
    inside = (points >= low) & (points <= high)
    return np.asarray(np.all(inside, axis=1))


def hints(outline: Outline, window: Window, side: int) -> NDArray[np.float64]:
    """The pixels of a window deepest inside and deepest outside the coarse mask, as prompts.

    Returns
    -------
    ndarray of float
        (2, 2) as (y, x), level-0 pixels: a foreground and a background point.
    """
    rows, cols = LogitGrid(np.empty((side, side), np.float32), window).used
    inside = outline.coarse.cells_of(window, side)[:rows, :cols] > MASK_THRESHOLD
    out = []
    for part in (inside, ~inside):
        depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
        out.append(np.unravel_index(int(depth.argmax()), depth.shape))
    return window.from_network((np.array(out, float) + 0.5) * (window.img_size / side) - 0.5)


def judged(
    outline: Outline, window: Window, logits: NDArray[np.float32], image_shape: tuple[int, int]
) -> Detail | None:
    """The mask of a finer window that agrees best with the coarse one; None if none agrees.

    Parameters
    ----------
    outline : Outline
        Of the coarse mask.
    window : Window
        The finer window.
    logits : ndarray of float32
        (M, H, W) its answers.
    image_shape : (int, int)
        Height and width of level 0.

    Returns
    -------
    Detail or None
    """
    side = logits.shape[-1]
    details = [Detail(LogitGrid(one, window), window.inner_sides(image_shape)) for one in logits]
    middles = (np.arange(side) + 0.5) * (window.img_size / side)
    wy, wx = (details[0].weights(a, middles / window.scale[a] + window.bbox[a]) > 0 for a in (0, 1))
    seen = np.outer(wy, wx)
    coarse = outline.coarse.cells_of(window, side)[seen] > MASK_THRESHOLD
    far = outline.trust.cells_of(window, side)[seen] >= 1
    best, least = None, math.inf
    for detail in details:
        wrong = (detail.grid.values[seen] > MASK_THRESHOLD) != coarse
        shares = [wrong[where].mean() for where in (far & coarse, far & ~coarse) if where.sum() >= _LEAST_CELLS]
        if shares and max(shares) <= _DISAGREEMENT and wrong.mean() < least:
            best, least = detail, wrong.mean()
    return best


def refine(
    coarse: LogitGrid,
    finest: int,
    image_shape: tuple[int, int],
    ask: Callable[[Window, NDArray[np.float32], NDArray[np.float64]], NDArray[np.float32]],
) -> tuple[RefinedField, int] | None:
    """Improve a mask's outline with finer windows.

    Parameters
    ----------
    coarse : LogitGrid
        The mask, whole, in a coarse window.
    finest : int
        Smallest side worth asking, level-0 pixels.
    image_shape : (int, int)
        Height and width of level 0.
    ask : callable
        Asked with a window, the coarse mask as low-res logits there, and a foreground and a background point;
        answers with low-res logits (M, H, W). At most `MOST_WINDOWS` times.

    Returns
    -------
    (RefinedField, int) or None
        The refined mask and the side of the finer windows; None if nothing finer could be said.
    """
    outline = Outline.of(coarse)
    if outline is None:
        return None
    side = coarse.values.shape[-1]
    windows = plan(outline, finest, image_shape)
    details = []
    for window in windows:
        logits = ask(window, coarse.cells_of(window, side), hints(outline, window, side))
        detail = judged(outline, window, logits, image_shape)
        if detail is not None:
            details.append(detail)
    field = outline.refined(details)
    return None if field is None else (field, max(windows[0].shape))


def _extended(values: NDArray[np.float32], rows: int, cols: int) -> NDArray[np.float32]:
    """The same grid, its padding filled with the values at its edge."""
    n = len(values)
    return np.pad(values[:rows, :cols], ((0, n - rows), (0, n - cols)), mode="edge")


def settled(grid: LogitGrid, mask: NDArray[np.bool_] | None = None) -> LogitGrid:
    """A grid whose padding goes on like its edge, and whose signs are those of `mask`, if given.

    Parameters
    ----------
    grid : LogitGrid
        Low-res logits.
    mask : ndarray of bool, optional
        (rows, cols) of the grid's used part.

    Returns
    -------
    LogitGrid
    """
    rows, cols = grid.used
    values = grid.values.copy()
    if mask is not None:
        size = np.maximum(np.abs(values[:rows, :cols]), np.finfo(np.float32).tiny)
        values[:rows, :cols] = np.where(mask, size, -size)
    return LogitGrid(_extended(values, rows, cols), grid.window)


def _crossings(grid: LogitGrid, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Level-0 positions between neighbouring logits of which one is inside."""
    found = []
    for axis in (0, 1):
        index = np.argwhere(np.diff(inside, axis=axis)).astype(float) + 0.5
        index[:, axis] += 0.5
        found.append(index)
    cells = np.concatenate(found)
    out: NDArray[np.float64] = cells * grid.cell / np.array(grid.window.scale) + np.array(grid.window.bbox[:2])
    return out
