"""Scale levels that a file does not have: exact where that is affordable, sketched where it is not.

A view of a whole image without scale levels needs every pixel. A *virtual level* never reads more than a fixed
number of them: small regions are the exact mean of their pixels; of large ones some chunks, evenly spread, are read
and stand for their surroundings. The sketch is enough to find one's way; `napari_sam.io.images.overview` computes
the level once and for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.io.images.pooling import pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image

    Region = tuple[int, int, int, int]

FIRST_FACTOR = 4
_COARSEST_PX = 2048  # an image whose coarsest level is larger gets more
_SKETCH_PX = 1 << 26  # decoded at most for a sketch of 2048 x 2048 pixels
_MEAN_PX = 32
_TILE_PX = 2048
_WIDE_PX = 8192  # chunks wider than this are strips


@dataclass(frozen=True)
class CoarseLevel:
    """One scale level beyond those of the file.

    Attributes
    ----------
    shape : (int, int)
        Height and width.
    factor : int
        Pixels of the file's coarsest level per pixel of this one, along each axis; a power of two.
    stored : array-like or None
        The level as an overview file has it, (y, x, c); None if it is virtual.
    channels : tuple of int
        Which channels of the file `stored` has.
    """

    shape: tuple[int, int]
    factor: int
    stored: Any = None
    channels: tuple[int, ...] = ()

    @property
    def virtual(self) -> bool:
        """Whether it is computed from the file at every read."""
        return self.stored is None

    def read(self, image: Image, region: Region, step: int = 1) -> NDArray[np.generic]:
        """Read (h, w, channels) of a region, every `step`-th pixel."""
        y0, x0, y1, x1 = region
        if self.stored is not None:
            at = [self.channels.index(c) for c in image.selected]
            first = min(at)
            block: NDArray[np.generic] = np.asarray(self.stored[y0:y1:step, x0:x1:step, first : max(at) + 1])
            return block if at == list(range(first, max(at) + 1)) else block[..., [i - first for i in at]]
        f = self.factor
        width = image.levels[len(image.arrays) - 1][1] if is_striped(image) and not image.strided else (x1 - x0) * f
        area = (y1 - y0) * f * width
        if area <= image.exact_px:
            return exact(image, f, region)[::step, ::step]
        if image.strided:
            stride = 1
            while area / stride**2 > image.exact_px / 4 and stride < f:
                stride *= 2
            return exact(image, f, region, stride)[::step, ::step]
        return _sketch(image, f, region)[::step, ::step]


def virtual_levels(image: Image) -> list[CoarseLevel]:
    """The levels to add to an image: by 4, then by 2, until one is no longer than 2048 pixels."""
    h, w = image.levels[len(image.arrays) - 1]
    levels: list[CoarseLevel] = []
    factor = FIRST_FACTOR
    while max(h, w) > _COARSEST_PX and (not levels or max(levels[-1].shape) > _COARSEST_PX):
        levels.append(CoarseLevel((-(-h // factor), -(-w // factor)), factor))
        factor *= 2
    return levels


def exact(image: Image, factor: int, region: Region, stride: int = 1) -> NDArray[np.generic]:
    """A region of a virtual level as the mean of its pixels, tile by tile.

    Parameters
    ----------
    image : Image
        Read at the coarsest level of its file.
    factor : int
        Of the virtual level; a power of two.
    region : (int, int, int, int)
        (y0, x0, y1, x1) in pixels of the virtual level.
    stride : int
        Take every `stride`-th pixel only; a power of two, at most `factor`.
    """
    y0, x0, y1, x1 = region
    level = len(image.arrays) - 1
    h, w = image.levels[level]
    out = np.empty((y1 - y0, x1 - x0, image.channels), image.dtype)
    for top, left, bottom, right in _tiles(image, factor, region):
        base = (top * factor, left * factor, min(h, bottom * factor), min(w, right * factor))
        small = pool(image.read(level, *base, stride), factor // stride)
        out[top - y0 : bottom - y0, left - x0 : right - x0] = small[: bottom - top, : right - left]
    return out


def is_striped(image: Image) -> bool:
    """Whether the file is stored in strips so wide that reading narrow tiles would decode them many times."""
    return image.chunk[1] > _WIDE_PX


def _tiles(image: Image, factor: int, region: Region) -> Iterator[Region]:
    """Cut a region of a virtual level where the file's chunks end, so that each is decoded once."""
    y0, x0, y1, x1 = region
    ch, cw = image.chunk
    th, tw = (_rounded(c, factor) for c in (ch, cw))
    if is_striped(image):
        tw = x1 - x0
        left = x0
    else:
        left = x0 // tw * tw
    for top in range(y0 // th * th, y1, th):
        for start in range(left, x1, tw):
            yield max(top, y0), max(start, x0), min(top + th, y1), min(start + tw, x1)


def _rounded(chunk: int, factor: int) -> int:
    """Side of a tile, in pixels of the virtual level, that holds whole chunks where it can."""
    whole = math.lcm(chunk, factor) if math.lcm(chunk, factor) <= 2 * _TILE_PX else _TILE_PX
    return max(1, max(1, _TILE_PX // whole) * whole // factor)


def _sketch(image: Image, factor: int, region: Region) -> NDArray[np.generic]:
    """A region of a virtual level in which one chunk stands for its surroundings."""
    level = len(image.arrays) - 1
    h, w = image.levels[level]
    ch, cw = image.chunk
    y0, x0, y1, x1 = region
    if is_striped(image):
        every = max(1, -(-min(h, _COARSEST_PX * factor) * w // _SKETCH_PX))
        rows, cols = _cells(y0, y1, factor, ch, every, h), [(x0, x1, x0 * factor, min(w, x1 * factor))]
    else:
        every = max(1, -(-_COARSEST_PX * factor // math.isqrt(_SKETCH_PX)))
        rows, cols = _cells(y0, y1, factor, ch, every, h), _cells(x0, x1, factor, cw, every, w)
    out = np.empty((y1 - y0, x1 - x0, image.channels), image.dtype)
    for top, bottom, first, last in rows:
        for left, right, start, end in cols:
            block = image.read(level, first, start, last, end)
            block = block[:: max(1, block.shape[0] // _MEAN_PX)]  # some rows tell the mean as well as all
            if not is_striped(image):
                block = block[:, :: max(1, block.shape[1] // _MEAN_PX)]
            pitch = factor if is_striped(image) else block.shape[1]
            mean = _mean(_mean(block, 0, block.shape[0]), 1, pitch)
            if image.dtype.kind in "biu":
                mean = np.rint(mean)
            out[top - y0 : bottom - y0, left - x0 : right - x0] = mean.astype(image.dtype)
    return out


def _cells(start: int, stop: int, factor: int, chunk: int, every: int, size: int) -> list[tuple[int, int, int, int]]:
    """Runs of pixels of a virtual level along one axis, each with the range of base pixels that stands for it.

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


def _mean(block: NDArray[np.generic], axis: int, pitch: int) -> NDArray[np.generic]:
    """Mean over runs of `pitch` along an axis, in double precision, not-a-number left out."""
    values = block.astype(np.float64)
    valid = np.isfinite(values)
    at = np.arange(0, values.shape[axis], pitch)
    total = np.add.reduceat(np.where(valid, values, 0.0), at, axis=axis)
    count = np.add.reduceat(valid.astype(np.float64), at, axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def spread_sample(image: Image, limit_px: int) -> NDArray[np.generic]:
    """Pixels from all over an image, (n, channels); decodes about `limit_px` pixels of one level at most."""
    coarsest = len(image.levels) - 1 if image.has_overview else len(image.arrays) - 1
    h, w = image.levels[coarsest]
    if h * w <= limit_px or (image.strided and coarsest < len(image.arrays)):
        step = max(1, max(h, w) // 1024)
        return image.read(coarsest, 0, 0, h, w, step).reshape(-1, image.channels)
    ch, cw = image.chunk
    count = max(4, limit_px // (ch * cw))
    ny, nx = -(-h // ch), -(-w // cw)
    gx = min(nx, math.isqrt(count))
    gy = min(ny, count // gx)
    gx = min(nx, count // gy)
    found = []
    for i in range(gy):
        for j in range(gx):
            top, left = (2 * i + 1) * ny // (2 * gy) * ch, (2 * j + 1) * nx // (2 * gx) * cw
            bottom, right = min(h, top + min(ch, _TILE_PX)), min(w, left + min(cw, 1 << 20))
            block = image.read(coarsest, top, left, bottom, right)
            sy, sx = (max(1, n // 256) for n in block.shape[:2])
            found.append(block[::sy, ::sx].reshape(-1, image.channels))
    return np.concatenate(found)
