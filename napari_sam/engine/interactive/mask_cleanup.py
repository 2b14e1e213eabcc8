"""Remove specks and holes from masks, and give low-res logits beyond the image sensible values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.interactive.logit_fields import MASK_THRESHOLD, LogitGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray


def tidy_mask(mask: NDArray[np.bool_], seeds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Keep the parts of a mask that hold a seed, and fill their holes.

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
        pixels = np.round(seeds).astype(np.int64)
        pixels = pixels[((pixels >= 0) & (pixels < mask.shape)).all(1)]
        kept = np.unique(parts[pixels[:, 0], pixels[:, 1]])
        kept = kept[kept > 0]
        if not len(kept):
            kept = np.array([np.bincount(parts.ravel())[1:].argmax() + 1])
        mask = np.isin(parts, kept)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(mask)
    return filled


def extend_padding(grid: LogitGrid, mask: NDArray[np.bool_] | None = None) -> LogitGrid:
    """Replace the padding of low-res logits by the values at its edge.

    Parameters
    ----------
    grid : LogitGrid
        Low-res logits.
    mask : ndarray of bool, optional
        (rows, cols) of the grid's used part; the logits get the signs of this mask.

    Returns
    -------
    LogitGrid
    """
    rows, cols = grid.used
    values = grid.values.copy()
    if mask is not None:
        size = np.maximum(np.abs(values[:rows, :cols]), np.finfo(np.float32).tiny)
        values[:rows, :cols] = np.where(mask, size, -size)
    return LogitGrid(pad_edge(values, rows, cols), grid.window)


def tidy_grid(grid: LogitGrid, seeds: NDArray[np.float64] | None) -> LogitGrid:
    """Extend the padding of low-res logits and, with seeds, tidy their mask.

    Parameters
    ----------
    grid : LogitGrid
        Low-res logits.
    seeds : ndarray of float or None
        (P, 2) foreground points as (y, x), level-0 pixels; None not to tidy.
    """
    if seeds is None:
        return extend_padding(grid)
    rows, cols = grid.used
    cells = np.floor(grid.window.to_network(seeds) / grid.cell)
    return extend_padding(grid, tidy_mask(grid.values[:rows, :cols] > MASK_THRESHOLD, cells))


def pad_edge(values: NDArray[np.float32], rows: int, cols: int) -> NDArray[np.float32]:
    """Return a square grid whose padding, from `rows` and `cols` on, has the values at its edge."""
    n = len(values)
    return np.pad(values[:rows, :cols], ((0, n - rows), (0, n - cols)), mode="edge")
