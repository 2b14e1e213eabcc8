"""Merge the objects of several factors: which objects of a coarser factor replace pieces of a finer one.

An object larger than half a window of a factor is also searched at the next coarser factor. A coarse object replaces
the pieces that it covers. It is dropped if whole objects of a finer factor fill it, since it is then a group of them,
or if the pieces make up the same object, since their outline is the finer one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.tiling.merge_tiles import PART, WHOLE, MergedTiles
from napari_sam.engine.tiling.scale_cores import ScaleCores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.tiling.merge_tiles import TileSource

_GROUP_SHARE = 0.3  # a coarse object is a group if whole fine objects fill at least this share of it,
_CROWD, _CROWD_SHARE = 4, 0.03  # or if it holds this many of them and they fill this share
_COVERED_SHARE = 0.5  # pieces of an object are dropped if a coarse object covers at least this share of them
_SAME_OBJECT_IOU = 0.7  # IoU from which assembled pieces and a coarse object are the same object
_SURE_IOU = 0.5  # predicted IoU from which a coarse object may replace pieces


def merge_scales(levels: Sequence[MergedTiles], source: TileSource, side: int) -> None:
    """Drop the objects of each factor that another factor shows better; changes states and numbers in place.

    Parameters
    ----------
    levels : sequence of MergedTiles
        One per factor, finest first.
    source : TileSource
        Results of the tiles.
    side : int
        Level-0 pixels that one window of the network covers at factor 1.
    """
    cores = ScaleCores(levels, source)
    for level in range(1, len(levels)):
        _merge_level(levels, level, side, cores)
    for merged in levels:
        merged.renumber()


@dataclass
class _Comparison:
    """Comparison of coarse objects with those of finer factors, in pixels of the coarse factor.

    Attributes
    ----------
    size, filled, inside : ndarray of int64
        Of each coarse number: its pixels, its pixels under whole finer objects, and the number of such objects.
    pieces : list of ndarray of int64
        Of each finer factor and number: pixels of assembled parts near coarse objects.
    shared : list of Counter
        Of each finer factor: pixels that a coarse number and a number of assembled parts share.
    """

    size: NDArray[np.int64]
    filled: NDArray[np.int64]
    inside: NDArray[np.int64]
    pieces: list[NDArray[np.int64]]
    shared: list[Counter[tuple[int, int]]]

    @classmethod
    def of(cls, coarse: MergedTiles, finer: Sequence[MergedTiles]) -> _Comparison:
        """Return a comparison without any pixel."""
        size, filled, inside = np.zeros((3, coarse.count + 1), np.int64)
        pieces = [np.zeros(merged.count + 1, np.int64) for merged in finer]
        return cls(size, filled, inside, pieces, [Counter() for _ in finer])

    def groups(self) -> NDArray[np.bool_]:
        """Return which coarse numbers are groups of whole finer objects."""
        size = np.maximum(self.size, 1)
        crowded = (self.inside >= _CROWD) & (self.filled >= _CROWD_SHARE * size)
        out: NDArray[np.bool_] = (self.filled >= _GROUP_SHARE * size) | crowded
        return out


def _merge_level(levels: Sequence[MergedTiles], level: int, side: int, cores: ScaleCores) -> None:
    """Decide between the objects of a coarse factor and those of all finer ones."""
    coarse = levels[level]
    coarse.drop(~_large_and_sure(coarse, side * levels[level - 1].grid.factor / 2))
    if not coarse.number.any():
        return
    compared = _compare(levels, level, cores)
    dropped = compared.groups()
    for finer, pieces, shared in zip(levels[:level], compared.pieces, compared.shared, strict=True):
        for (number, piece), pixels in shared.items():
            union = compared.size[number] + pieces[piece] - pixels
            dropped[number] |= bool(pixels >= _SAME_OBJECT_IOU * union)
        dropped |= _assembled_finer(coarse, finer)
    coarse.drop(dropped[coarse.number])
    for finer, pieces, shared in zip(levels[:level], compared.pieces, compared.shared, strict=True):
        covered = np.zeros(finer.count + 1, np.int64)
        for (number, piece), pixels in shared.items():
            if not dropped[number]:
                covered[piece] += pixels
        hidden = covered >= _COVERED_SHARE * np.maximum(pieces, 1)
        finer.drop((finer.state == PART) & ~finer.agreed & hidden[finer.number])
    cores.forget()


def _compare(levels: Sequence[MergedTiles], level: int, cores: ScaleCores) -> _Comparison:
    """Compare the objects of a coarse factor with the finer ones at the same pixels."""
    coarse, finer = levels[level], levels[:level]
    compared = _Comparison.of(coarse, finer)
    whole_inside: set[tuple[int, int, int]] = set()  # finer level, coarse number, number of a whole finer object
    is_part = [merged.numbers_in_state(PART) for merged in finer]
    is_whole = [merged.numbers_in_state(WHOLE) for merged in finer]
    for index, tile in enumerate(coarse.grid.tiles):
        if cores.is_empty(level, index):
            continue
        numbers = cores.core(level, index)
        compared.size += np.bincount(numbers.ravel(), minlength=len(compared.size))
        under_whole = np.zeros(numbers.shape, bool)
        for k in range(level):
            sampled = cores.sample(k, tile.core_label_box, coarse.grid.factor)
            whole = is_whole[k][sampled]
            under_whole |= whole
            pairs = np.unique(np.stack([numbers[whole], sampled[whole]]), axis=1)
            whole_inside.update((k, *pair) for pair in pairs.T.tolist())
            _count_pieces(compared, k, numbers, np.where(is_part[k][sampled], sampled, 0))
        compared.filled += np.bincount(numbers[under_whole], minlength=len(compared.filled))
    for _, number, _ in whole_inside:
        compared.inside[number] += 1
    compared.inside[0] = 0
    return compared


def _count_pieces(compared: _Comparison, k: int, numbers: NDArray[np.int64], parts: NDArray[np.int64]) -> None:
    """Count the pixels of assembled parts of a finer factor, and those that they share with coarse numbers."""
    compared.pieces[k] += np.bincount(parts.ravel(), minlength=len(compared.pieces[k]))
    both = (parts > 0) & (numbers > 0)
    pairs, pixels = np.unique(np.stack([numbers[both], parts[both]]), axis=1, return_counts=True)
    compared.shared[k].update(dict(zip(map(tuple, pairs.T.tolist()), pixels.tolist(), strict=True)))


def _large_and_sure(merged: MergedTiles, least_px: float) -> NDArray[np.bool_]:
    """Return which entries belong to an object of at least this extent (level-0 pixels), and are sure."""
    low, high = merged.extents()
    is_large = (high - low).max(1) >= least_px
    out: NDArray[np.bool_] = is_large[merged.number] & (merged.predicted_iou >= _SURE_IOU)
    return out


def _assembled_finer(coarse: MergedTiles, fine: MergedTiles) -> NDArray[np.bool_]:
    """Return which coarse numbers show an object, or several, that the finer factor assembled without doubt.

    Such a finer object lies in the box of the coarse one and is at least half as long. The pixels are not compared,
    since a coarse factor shows thin objects too thick.
    """
    out = np.zeros(coarse.count + 1, bool)
    numbers = np.unique(fine.number[fine.agreed & (fine.number > 0)])
    if not len(numbers) or not coarse.count:
        return out
    slack = 2 * coarse.grid.factor
    (low, high), (coarse_low, coarse_high) = fine.extents(), coarse.extents()
    candidates = np.unique(coarse.number[coarse.number > 0])
    length = (coarse_high - coarse_low).max(1)
    for number in numbers.tolist():
        inside = (coarse_low[candidates] <= low[number] + slack).all(1)
        inside &= (coarse_high[candidates] >= high[number] - slack).all(1)
        long_enough = 2 * (high[number] - low[number]).max() >= length[candidates]
        out[candidates[inside & long_enough]] = True
    return out
