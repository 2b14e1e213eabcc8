"""All objects of an image, joined from tiles at several factors: which factor has the say, and how it is drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box
from napari_sam.engine.tiling.merge_tiles import DROPPED, PART, WHOLE, Joined, render_core
from napari_sam.engine.tiling.tiles import to_label_pixels
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.tiling.merge_tiles import TileSource

_FILLED = 0.3  # a coarse object that whole fine ones fill so far is a group of them, not an object
_CROWD, _CROWDED = 4, 0.03  # so is one that holds so many of them, if they fill so much of it
_COVERED = 0.5  # pieces of an object go where a coarse one covers so much of them
_SAME = 0.7  # IoU from which pieces, put together, are what the coarse factor sees; their outline is the finer one
_SURE = 0.5  # predicted IoU from which a coarse object replaces what the finer factor could only see in pieces
_HELD_TILES = 12


class Scene:
    """What was found at all factors, as one set of objects.

    An object larger than half a finer factor's window is looked for at the next coarser one as well. A coarse object
    takes the place of pieces that it covers; it gives way where whole objects of the finer factor fill it, and where
    the pieces make up the same object.

    Parameters
    ----------
    joined : list of Joined
        One per factor, finest first; their states and numbers are changed.
    source : TileSource
        Results of the tiles.
    side : int
        Level-0 pixels that a window shows at factor 1.
    """

    def __init__(self, joined: list[Joined], source: TileSource, side: int) -> None:
        self.joined = joined
        self._source = source
        self._coarse: LRU[tuple[int, int], NDArray[np.int64]] = LRU(limit_count=_HELD_TILES)
        self._edges: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        for k in range(1, len(joined)):
            self._settle_level(k, side)
        self.offsets = [0]
        for one in joined:
            one.renumber()
            self.offsets.append(self.offsets[-1] + one.count)
        self._coarse.clear()

    @property
    def count(self) -> int:
        """Number of objects; they are numbered from 1."""
        return self.offsets[-1]

    @property
    def factor(self) -> int:
        """Level-0 pixels per pixel of what `render` gives."""
        return self.joined[0].grid.factor

    def is_empty(self, index: int) -> bool:
        """Whether no object comes near the core of a tile of the finest factor."""
        y0, x0, y1, x1 = self.joined[0].grid.tiles[index].core
        for one in self.joined:
            f = one.grid.factor
            boxes = one.boxes[one.number > 0]
            near = (boxes[:, 0] * f < y1 + f) & (boxes[:, 2] * f > y0 - f)
            if (near & (boxes[:, 1] * f < x1 + f) & (boxes[:, 3] * f > x0 - f)).any():
                return False
        return True

    def render(self, index: int) -> NDArray[np.int64]:
        """Numbers of the objects in the core of a tile of the finest factor."""
        fine = self.joined[0]
        out = render_core(fine, self._source, index)
        box = to_label_pixels(fine.grid.tiles[index].core, fine.grid.factor)
        for k in range(len(self.joined) - 1, 0, -1):
            if not (out == 0).any():
                break
            found = self._enlarged(k, box)
            if found is not None:
                np.copyto(out, found, where=out == 0)
        return out

    def render_wider(self, index: int) -> NDArray[np.int64]:
        """As `render`, with one pixel more on each side; what lies outside all tiles is the nearest inside."""
        grid = self.joined[0].grid
        y0, x0, y1, x1 = to_label_pixels(grid.tiles[index].core, grid.factor)
        out = np.pad(self._rendered(index), 1, mode="edge")
        for other in grid.neighbours(index):
            a, b, c, d = to_label_pixels(grid.tiles[other].core, grid.factor)
            top, left, bottom, right = max(a, y0 - 1), max(b, x0 - 1), min(c, y1 + 1), min(d, x1 + 1)
            part = self._rendered(other)[top - a : bottom - a, left - b : right - b]
            out[top - y0 + 1 : bottom - y0 + 1, left - x0 + 1 : right - x0 + 1] = part
        return out

    def _rendered(self, index: int) -> NDArray[np.int64]:
        """`render`, held for the tiles around."""
        return self._coarse.get_or_compute((0, index), lambda: self.render(index))

    def scores(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predicted IoU and stability score of each number, from number 1; of parts, by the pixels they have."""
        iou, stability = np.zeros(self.count, np.float64), np.zeros(self.count, np.float64)
        weight = np.zeros(self.count, np.float64)
        for one, offset in zip(self.joined, self.offsets, strict=False):
            kept = np.flatnonzero(one.number)
            at = one.number[kept] - 1 + offset
            np.add.at(weight, at, one.area[kept])
            np.add.at(iou, at, one.predicted_iou[kept] * one.area[kept])
            np.add.at(stability, at, one.stability_score[kept] * one.area[kept])
        weight = np.maximum(weight, 1)
        return (iou / weight).astype(np.float32), (stability / weight).astype(np.float32)

    # ---- which factor has the say -------------------------------------------------------------------------

    def _settle_level(self, k: int, side: int) -> None:
        coarse = self.joined[k]
        finer = self.joined[k - 1].grid.factor
        _drop(coarse, ~_large_and_sure(coarse, side * finer / 2))
        if not coarse.number.any():
            return
        found = self._overlaps(k)
        size = np.maximum(found.size, 1)
        gone = (found.filled >= _FILLED * size) | ((found.inside >= _CROWD) & (found.filled >= _CROWDED * size))
        for level in range(k):
            for (number, part), pixels in found.shared[level].items():
                either = found.size[number] + found.pieces[level][part] - pixels
                gone[number] |= bool(pixels >= _SAME * either)
            gone |= _seen_finer(coarse, self.joined[level])
        _drop(coarse, gone[coarse.number])
        for level in range(k):
            one = self.joined[level]
            covered = np.zeros(one.count + 1, np.int64)
            for (number, part), pixels in found.shared[level].items():
                if not gone[number]:
                    covered[part] += pixels
            under = covered >= _COVERED * np.maximum(found.pieces[level], 1)
            _drop(one, (one.state == PART) & ~one.agreed & under[one.number])
        self._coarse.clear()

    def _overlaps(self, k: int) -> _Overlaps:
        """Compare the objects of a coarse factor with what the finer ones have there."""
        coarse = self.joined[k]
        found = _Overlaps(
            np.zeros(coarse.count + 1, np.int64),
            np.zeros(coarse.count + 1, np.int64),
            np.zeros(coarse.count + 1, np.int64),
            [np.zeros(one.count + 1, np.int64) for one in self.joined[:k]],
            [Counter() for _ in range(k)],
        )
        held: set[tuple[int, int, int]] = set()
        is_part = [_has_state(one, PART) for one in self.joined[:k]]
        is_whole = [_has_state(one, WHOLE) for one in self.joined[:k]]
        for index in range(len(coarse.grid.tiles)):
            if not coarse.number[coarse.of_tile(index)].any() and not self._reached(k, index):
                continue
            numbers = self._core(k, index)
            found.size += np.bincount(numbers.ravel(), minlength=len(found.size))
            box = to_label_pixels(coarse.grid.tiles[index].core, coarse.grid.factor)
            whole = np.zeros(numbers.shape, bool)
            for level in range(k):
                seen = self._sampled(level, box, coarse.grid.factor)
                here = is_whole[level][seen]
                whole |= here
                held.update(
                    (level, *pair) for pair in np.unique(np.stack([numbers[here], seen[here]]), axis=1).T.tolist()
                )
                seen = np.where(is_part[level][seen], seen, 0)
                found.pieces[level] += np.bincount(seen.ravel(), minlength=len(found.pieces[level]))
                both = (seen > 0) & (numbers > 0)
                keys, pixels = np.unique(np.stack([numbers[both], seen[both]]), axis=1, return_counts=True)
                found.shared[level].update(dict(zip(map(tuple, keys.T.tolist()), pixels.tolist(), strict=True)))
            found.filled += np.bincount(numbers[whole], minlength=len(found.filled))
        for _, number, _ in held:
            found.inside[number] += 1
        found.inside[0] = 0
        return found

    def _reached(self, k: int, index: int) -> bool:
        """Whether an object of a neighbour reaches into a tile."""
        coarse = self.joined[k]
        y0, x0, y1, x1 = to_label_pixels(coarse.grid.tiles[index].core, coarse.grid.factor)
        for other in coarse.grid.neighbours(index):
            own = coarse.of_tile(other)
            boxes = coarse.boxes[own][coarse.number[own] > 0]
            if ((boxes[:, 0] < y1) & (boxes[:, 2] > y0) & (boxes[:, 1] < x1) & (boxes[:, 3] > x0)).any():
                return True
        return False

    def _sampled(self, level: int, box: Box, factor: int) -> NDArray[np.int64]:
        """Numbers of a finer factor in a box of a coarser one's label pixels: one sample per pixel."""
        one = self.joined[level]
        ratio = factor // one.grid.factor
        y0, x0, y1, x1 = box
        out = np.zeros((y1 - y0, x1 - x0), np.int64)
        rows, cols = (np.arange(a, b) * ratio + ratio // 2 for a, b in ((y0, y1), (x0, x1)))
        for index in self._tiles_in(level, Box(y0 * ratio, x0 * ratio, y1 * ratio, x1 * ratio)):
            a, b, c, d = to_label_pixels(one.grid.tiles[index].core, one.grid.factor)
            y, x = np.flatnonzero((rows >= a) & (rows < c)), np.flatnonzero((cols >= b) & (cols < d))
            if len(y) and len(x):
                core = render_core(one, self._source, index)
                out[np.ix_(y, x)] = core[np.ix_(rows[y] - a, cols[x] - b)]
        return out

    def _tiles_in(self, level: int, box: Box) -> Iterator[int]:
        """Tiles of a factor whose cores meet a box of its label pixels."""
        grid = self.joined[level].grid
        if level not in self._edges:
            rows, cols = grid.shape
            cores = [to_label_pixels(tile.core, tile.factor) for tile in grid.tiles]
            self._edges[level] = (
                np.array([[cores[r * cols][a] for r in range(rows)] for a in (0, 2)]),
                np.array([[cores[c][a] for c in range(cols)] for a in (1, 3)]),
            )
        (top, bottom), (left, right) = self._edges[level]
        for row in range(int(np.searchsorted(bottom, box[0], "right")), int(np.searchsorted(top, box[2], "left"))):
            for col in range(int(np.searchsorted(right, box[1], "right")), int(np.searchsorted(left, box[3], "left"))):
                yield row * grid.shape[1] + col

    # ---- drawing ------------------------------------------------------------------------------------------

    def _core(self, k: int, index: int) -> NDArray[np.int64]:
        return self._coarse.get_or_compute((k, index), lambda: render_core(self.joined[k], self._source, index))

    def _enlarged(self, k: int, box: Box) -> NDArray[np.int64] | None:
        """Objects of a coarse factor in a box of the finest factor's label pixels; None if there are none."""
        one = self.joined[k]
        if not one.number.any():
            return None
        ratio = one.grid.factor // self.factor
        y0, x0, y1, x1 = box[0] // ratio - 1, box[1] // ratio - 1, -(-box[2] // ratio) + 1, -(-box[3] // ratio) + 1
        small = np.zeros((y1 - y0, x1 - x0), np.int64)
        for index in self._tiles_in(k, Box(y0, x0, y1, x1)):
            a, b, c, d = to_label_pixels(one.grid.tiles[index].core, one.grid.factor)
            if not one.number[one.of_tile(index)].any() and not self._reached(k, index):
                continue
            top, left, bottom, right = max(a, y0), max(b, x0), min(c, y1), min(d, x1)
            part = self._core(k, index)[top - a : bottom - a, left - b : right - b]
            small[top - y0 : bottom - y0, left - x0 : right - x0] = part
        if not small.any():
            return None
        small[small > 0] += self.offsets[k]
        top, left = box[0] - y0 * ratio, box[1] - x0 * ratio
        return enlarge(small, ratio)[top : top + box[2] - box[0], left : left + box[3] - box[1]]


@dataclass
class _Overlaps:
    """Coarse objects against finer ones, in pixels of the coarse factor.

    Attributes
    ----------
    size, filled, inside : ndarray of int64
        Of each coarse number: all pixels, those under whole finer objects, and how many such objects there are.
    pieces : list of ndarray of int64
        Of each finer factor and number: pixels of what was put together of parts, near coarse objects.
    shared : list of Counter
        Of each finer factor: pixels that a coarse number and such a finer one share.
    """

    size: NDArray[np.int64]
    filled: NDArray[np.int64]
    inside: NDArray[np.int64]
    pieces: list[NDArray[np.int64]]
    shared: list[Counter[tuple[int, int]]]


def enlarge(labels: NDArray[np.int64], ratio: int) -> NDArray[np.int64]:
    """A label image with pixels divided `ratio` times along each axis, outlines smooth instead of in steps.

    Each object's mask is interpolated linearly and cut at one half; where two meet, the stronger has the pixel.

    >>> enlarge(np.array([[0, 0, 0], [0, 7, 0], [0, 0, 0]]), 2)[2:4, 2:4].tolist()
    [[7, 7], [7, 7]]
    """
    if ratio == 1:
        return labels
    h, w = labels.shape
    values, local = np.unique(labels, return_inverse=True)
    local = local.reshape(labels.shape)
    out = np.zeros((h * ratio, w * ratio), np.int64)
    best = np.full(out.shape, 0.5, np.float32)
    for number, found in enumerate(ndimage.find_objects(local + 1), start=0):
        if values[number] == 0 or found is None:
            continue
        y0, x0 = max(found[0].start - 1, 0), max(found[1].start - 1, 0)
        y1, x1 = min(found[0].stop + 1, h), min(found[1].stop + 1, w)
        mask = (local[y0:y1, x0:x1] == number).astype(np.float32)
        for axis in (0, 1):
            mask = _stretch(mask, ratio, axis)
        there = (slice(y0 * ratio, y1 * ratio), slice(x0 * ratio, x1 * ratio))
        wins = mask >= best[there]
        out[there][wins] = values[number]
        best[there][wins] = mask[wins]
    return out


def _stretch(mask: NDArray[np.float32], ratio: int, axis: int) -> NDArray[np.float32]:
    """Linear interpolation along an axis, pixel centres aligned."""
    size = mask.shape[axis]
    at = np.clip((np.arange(size * ratio) + 0.5) / ratio - 0.5, 0, size - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    share = (at - low).astype(np.float32)
    share = share[:, None] if axis == 0 else share[None]
    out: NDArray[np.float32] = np.take(mask, low, axis) * (1 - share) + np.take(mask, high, axis) * share
    return out


def _large_and_sure(one: Joined, least_px: float) -> NDArray[np.bool_]:
    """Which entries belong to an object of at least this extent (level-0 pixels) and predicted IoU."""
    low, high = _extents(one)
    extent = (high - low).max(1)
    out: NDArray[np.bool_] = (extent >= least_px)[one.number] & (one.predicted_iou >= _SURE)
    return out


def _extents(one: Joined) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last (y, x) of each number, level-0 pixels."""
    low = np.full((one.count + 1, 2), np.iinfo(np.int32).max, np.int64)
    high = np.zeros((one.count + 1, 2), np.int64)
    np.minimum.at(low, one.number, one.boxes[:, :2])
    np.maximum.at(high, one.number, one.boxes[:, 2:])
    return low * one.grid.factor, high * one.grid.factor


def _seen_finer(coarse: Joined, fine: Joined) -> NDArray[np.bool_]:
    """Which coarse numbers are an object, or several, that the finer factor put together without a doubt.

    Such an object lies in the box of the coarse one and is at least half as long. Its pixels are not compared: of a
    thin object a coarse factor sees a thick one.
    """
    out = np.zeros(coarse.count + 1, bool)
    numbers = np.unique(fine.number[fine.agreed & (fine.number > 0)])
    if not len(numbers) or not coarse.count:
        return out
    slack = 2 * coarse.grid.factor
    (low, high), (c_low, c_high) = _extents(fine), _extents(coarse)
    there = np.unique(coarse.number[coarse.number > 0])
    length = (c_high - c_low).max(1)
    for number in numbers.tolist():
        inside = (c_low[there] <= low[number] + slack).all(1) & (c_high[there] >= high[number] - slack).all(1)
        out[there[inside & (2 * (high[number] - low[number]).max() >= length[there])]] = True
    return out


def _has_state(one: Joined, state: int) -> NDArray[np.bool_]:
    """Which numbers have entries of a state."""
    out = np.zeros(one.count + 1, bool)
    out[one.number[one.state == state]] = True
    out[0] = False
    return out


def _drop(one: Joined, which: NDArray[np.bool_]) -> None:
    one.state[which] = DROPPED
    one.number[one.state == DROPPED] = 0
