"""Pixels from all over an image, for choosing its contrast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.images.level_protocols import LevelSource

_TILE_PX = 2048
_STRIP_PX = 1 << 20
_SIDE_PX = 1024  # longest side of a sample that is read with a step
_PER_CHUNK = 256  # pixels along each side that are kept of a chunk


def spread_sample(image: LevelSource, limit_px: int) -> NDArray[np.generic]:
    """Return pixels from all over an image.

    Parameters
    ----------
    image : LevelSource
        The image.
    limit_px : int
        Approximate number of pixels of one level to decode at most.

    Returns
    -------
    ndarray
        (n, channels).
    """
    coarsest = len(image.levels) - 1 if image.has_overview else image.file_levels - 1
    h, w = image.levels[coarsest]
    if h * w <= limit_px or (image.strided and coarsest < image.file_levels):
        step = max(1, max(h, w) // _SIDE_PX)
        return image.read(coarsest, 0, 0, h, w, step).reshape(-1, image.channels)
    ch, cw = image.chunk
    sample = []
    rows, cols = _spread_chunks((-(-h // ch), -(-w // cw)), max(4, limit_px // (ch * cw)))
    for top in (i * ch for i in rows):
        for left in (j * cw for j in cols):
            bottom, right = min(h, top + min(ch, _TILE_PX)), min(w, left + min(cw, _STRIP_PX))
            block = image.read(coarsest, top, left, bottom, right)
            sy, sx = (max(1, n // _PER_CHUNK) for n in block.shape[:2])
            sample.append(block[::sy, ::sx].reshape(-1, image.channels))
    return np.concatenate(sample)


def _spread_chunks(grid: tuple[int, int], count: int) -> tuple[list[int], list[int]]:
    """Choose rows and columns of a grid of chunks, evenly spread, whose product is about `count` at most.

    >>> _spread_chunks((10, 10), 4)
    ([2, 7], [2, 7])
    """
    ny, nx = grid
    gx = min(nx, math.isqrt(count))
    gy = min(ny, count // gx)
    gx = min(nx, count // gy)
    return [(2 * i + 1) * ny // (2 * gy) for i in range(gy)], [(2 * j + 1) * nx // (2 * gx) for j in range(gx)]
