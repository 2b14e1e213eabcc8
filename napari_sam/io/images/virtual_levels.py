"""Scale levels that a file does not have, computed from its pixels: exactly if affordable, else estimated.

A view of a whole image without scale levels needs every pixel. A *virtual level* never reads more than a fixed
number of them: small regions are the exact mean of their pixels; large regions are estimated from some evenly spread
chunks, each of which stands for its surroundings. The estimate suffices for navigation;
`napari_sam.io.images.overview` computes the level exactly and stores it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.pixel_validity import invalid_pixels
from napari_sam.io.images.pooling import pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.io.images.level_protocols import LevelArray, LevelSource


FIRST_FACTOR = 4
_COARSEST_PX = 2048  # an image whose coarsest level is larger gets more
_ESTIMATE_PX = 1 << 26  # decoded at most for an estimate of 2048 x 2048 pixels
_MEAN_PX = 32
_TILE_PX = 2048
_WIDE_PX = 8192  # chunks wider than this are strips


@dataclass(frozen=True)
class CoarseLevel:
    """A scale level coarser than those of the file.

    Attributes
    ----------
    shape : (int, int)
        Height and width.
    factor : int
        Pixels of the file's coarsest level per pixel of this one, along each axis; a power of two.
    stored : array-like or None
        The level in an overview file, (y, x, c); None if it is virtual.
    channels : tuple of int
        Channels of the file that `stored` holds.
    """

    shape: tuple[int, int]
    factor: int
    stored: LevelArray | None = None
    channels: tuple[int, ...] = ()

    @property
    def virtual(self) -> bool:
        """Whether it is computed from the file at each read."""
        return self.stored is None

    def read(self, image: LevelSource, region: tuple[int, int, int, int], step: int = 1) -> NDArray[np.generic]:
        """Read every `step`-th pixel of a region as (h, w, channels)."""
        y0, x0, y1, x1 = region
        if self.stored is not None:
            chosen = [self.channels.index(c) for c in image.selected]
            first, last = min(chosen), max(chosen)
            block: NDArray[np.generic] = np.asarray(self.stored[y0:y1:step, x0:x1:step, first : last + 1])
            return block if chosen == list(range(first, last + 1)) else block[..., [i - first for i in chosen]]
        f = self.factor
        width = image.levels[image.file_levels - 1][1] if is_striped(image) and not image.strided else (x1 - x0) * f
        area = (y1 - y0) * f * width
        if area <= image.exact_px:
            return exact_region(image, f, region)[::step, ::step]
        if image.strided:
            stride = 1
            while area / stride**2 > image.exact_px / 4 and stride < f:
                stride *= 2
            return exact_region(image, f, region, stride)[::step, ::step]
        return _estimate(image, f, region)[::step, ::step]


def virtual_levels(image: LevelSource) -> list[CoarseLevel]:
    """Return the levels to add to an image: reduced by 4, then by 2, until the long side is at most 2048 pixels."""
    h, w = image.levels[image.file_levels - 1]
    levels: list[CoarseLevel] = []
    factor = FIRST_FACTOR
    while max(h, w) > _COARSEST_PX and (not levels or max(levels[-1].shape) > _COARSEST_PX):
        levels.append(CoarseLevel((-(-h // factor), -(-w // factor)), factor))
        factor *= 2
    return levels


def exact_region(
    image: LevelSource, factor: int, region: tuple[int, int, int, int], stride: int = 1
) -> NDArray[np.generic]:
    """Compute a region of a virtual level as the mean of its pixels, tile by tile.

    Parameters
    ----------
    image : LevelSource
        The image, read at the coarsest level of its file.
    factor : int
        Factor of the virtual level; a power of two.
    region : (int, int, int, int)
        (y0, x0, y1, x1) in pixels of the virtual level.
    stride : int
        Read only every `stride`-th pixel; a power of two, at most `factor`.
    """
    y0, x0, y1, x1 = region
    level = image.file_levels - 1
    h, w = image.levels[level]
    out = np.empty((y1 - y0, x1 - x0, image.channels), image.dtype)
    for top, left, bottom, right in _tiles(image, factor, region):
        base = (top * factor, left * factor, min(h, bottom * factor), min(w, right * factor))
        small = pool(image.read(level, *base, stride), factor // stride, image.nodata)
        out[top - y0 : bottom - y0, left - x0 : right - x0] = small[: bottom - top, : right - left]
    return out


def is_striped(image: LevelSource) -> bool:
    """Return whether the file is stored in strips so wide that reading narrow tiles would decode them repeatedly."""
    return image.chunk[1] > _WIDE_PX


def _tiles(image: LevelSource, factor: int, region: tuple[int, int, int, int]) -> Iterator[Box]:
    """Cut a region of a virtual level along the file's chunks, so that each is decoded once."""
    y0, x0, y1, x1 = region
    ch, cw = image.chunk
    th, tw = (_tile_side(c, factor) for c in (ch, cw))
    if is_striped(image):
        tw = x1 - x0
        left = x0
    else:
        left = x0 // tw * tw
    for top in range(y0 // th * th, y1, th):
        for start in range(left, x1, tw):
            yield Box(top, start, top + th, start + tw).intersection(region)


def _tile_side(chunk: int, factor: int) -> int:
    """Return the side of a tile in pixels of the virtual level; it holds whole chunks if possible."""
    whole = math.lcm(chunk, factor) if math.lcm(chunk, factor) <= 2 * _TILE_PX else _TILE_PX
    return max(1, max(1, _TILE_PX // whole) * whole // factor)


def _estimate(image: LevelSource, factor: int, region: tuple[int, int, int, int]) -> NDArray[np.generic]:
    """Estimate a region of a virtual level: one chunk of each cell stands for the whole cell."""
    level = image.file_levels - 1
    h, w = image.levels[level]
    ch, cw = image.chunk
    y0, x0, y1, x1 = region
    if is_striped(image):
        every = max(1, -(-min(h, _COARSEST_PX * factor) * w // _ESTIMATE_PX))
        rows, cols = _cells(y0, y1, factor, ch, every, h), [(x0, x1, x0 * factor, min(w, x1 * factor))]
    else:
        every = max(1, -(-_COARSEST_PX * factor // math.isqrt(_ESTIMATE_PX)))
        rows, cols = _cells(y0, y1, factor, ch, every, h), _cells(x0, x1, factor, cw, every, w)
    out = np.empty((y1 - y0, x1 - x0, image.channels), image.dtype)
    for top, bottom, first, last in rows:
        for left, right, start, end in cols:
            block = image.read(level, first, start, last, end)
            block = block[:: max(1, block.shape[0] // _MEAN_PX)]  # a few rows suffice for the mean
            if not is_striped(image):
                block = block[:, :: max(1, block.shape[1] // _MEAN_PX)]
            pitch = factor if is_striped(image) else block.shape[1]
            mean = _mean_of_valid(block, image.nodata, pitch)
            if image.dtype.kind in "biu":
                mean = np.rint(mean)
            out[top - y0 : bottom - y0, left - x0 : right - x0] = mean.astype(image.dtype)
    return out


def _cells(start: int, stop: int, factor: int, chunk: int, every: int, size: int) -> list[tuple[int, int, int, int]]:
    """Return runs of pixels of a virtual level along one axis, each with the base pixels that represent it.

    >>> _cells(0, 8, 4, 2, 8, 32)  # cells of 16 base pixels; the chunk in the middle of each
    [(0, 4, 8, 10), (4, 8, 24, 26)]
    """
    pitch = chunk * every
    cells = []
    for cell in range(start * factor // pitch, -(-stop * factor // pitch)):
        begin, end = max(start, -(-cell * pitch // factor)), min(stop, -(-(cell + 1) * pitch // factor))
        first = min(cell * pitch + every // 2 * chunk, (size - 1) // chunk * chunk)
        if begin < end:
            cells.append((begin, end, first, min(size, first + min(chunk, 2 * _TILE_PX))))
    return cells


def _mean_of_valid(block: NDArray[np.generic], nodata: float | None, pitch: int) -> NDArray[np.generic]:
    """Return means over all rows and runs of `pitch` columns, without invalid values; `nodata` where all are."""
    invalid = invalid_pixels(block, nodata)
    if nodata is None or not invalid.any():
        return _mean(_mean(block, 0, block.shape[0]), 1, pitch)
    values = np.where(invalid, np.nan, block.astype(np.float64))
    mean = _mean(_mean(values, 0, block.shape[0]), 1, pitch)
    return np.where(np.isnan(mean), nodata, mean)


def _mean(block: NDArray[np.generic], axis: int, pitch: int) -> NDArray[np.generic]:
    """Return means over runs of `pitch` along an axis, in double precision, without values that are not finite."""
    values = block.astype(np.float64)
    valid = np.isfinite(values)
    starts = np.arange(0, values.shape[axis], pitch)
    total = np.add.reduceat(np.where(valid, values, 0.0), starts, axis=axis)
    count = np.add.reduceat(valid.astype(np.float64), starts, axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
