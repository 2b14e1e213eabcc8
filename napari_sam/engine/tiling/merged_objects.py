"""Objects of a whole image, merged from the tiles of several factors, and how they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.tiling.enlarge_labels import enlarge_labels
from napari_sam.engine.tiling.merge_scales import merge_scales
from napari_sam.engine.tiling.merge_tiles import boxes_meet
from napari_sam.engine.tiling.scale_cores import ScaleCores
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.merge_tiles import MergedTiles, TileSource
    from napari_sam.engine.tiling.tiles import Tile

_HELD_TILES = 12


class MergedObjects:
    """Objects of all factors, numbered from 1.

    Parameters
    ----------
    levels : sequence of MergedTiles
        One per factor, finest first; `merge_scales` changes their states and numbers.
    source : TileSource
        Results of the tiles.
    side : int
        Level-0 pixels that one window of the network covers at factor 1.
    drop : callable, optional
        Called with `levels` after the scales are merged; drops objects that are not wanted.
    """

    def __init__(
        self,
        levels: Sequence[MergedTiles],
        source: TileSource,
        side: int,
        drop: Callable[[Sequence[MergedTiles]], None] | None = None,
    ) -> None:
        merge_scales(levels, source, side)
        if drop is not None:
            drop(levels)
        self._levels = levels
        self._cores = ScaleCores(levels, source)
        self._rendered: LRU[int, NDArray[np.int64]] = LRU(limit_count=_HELD_TILES)
        self._offsets = np.cumsum([0, *(merged.count for merged in levels)]).tolist()

    @property
    def count(self) -> int:
        """Number of objects."""
        return int(self._offsets[-1])

    @property
    def tiles(self) -> Sequence[Tile]:
        """Tiles of the finest factor, in which the objects are drawn."""
        return self._levels[0].grid.tiles

    @property
    def factor(self) -> int:
        """Level-0 pixels per pixel of `render`."""
        return self._levels[0].grid.factor

    def is_empty(self, index: int) -> bool:
        """Whether no object comes near the core of a tile of the finest factor."""
        y0, x0, y1, x1 = self.tiles[index].core
        for merged in self._levels:
            f = merged.grid.factor
            if boxes_meet(merged.boxes[merged.number > 0] * f, (y0 - f, x0 - f, y1 + f, x1 + f)).any():
                return False
        return True

    def render(self, index: int) -> NDArray[np.int64]:
        """Return the numbers of the objects in the core of a tile of the finest factor, label pixels."""
        out = self._cores.render(0, index)
        box = self.tiles[index].core_label_box
        for level in range(len(self._levels) - 1, 0, -1):
            if not (out == 0).any():
                break
            coarse = self._enlarged(level, box)
            if coarse is not None:
                np.copyto(out, coarse, where=out == 0)
        return out

    def render_pixels(self, index: int) -> NDArray[np.int64]:
        """Return the numbers of the objects in the core of a tile of the finest factor, level-0 pixels."""
        tile = self.tiles[index]
        return self.render(index) if tile.factor == 1 else enlarge_core(self.render_with_border(index), tile)

    def render_with_border(self, index: int) -> NDArray[np.int64]:
        """Return `render` with one more pixel on each side; outside of all tiles the nearest pixel is repeated."""
        grid = self._levels[0].grid
        frame = grid.tiles[index].core_label_box.grow(1)
        out = np.pad(self._held(index), 1, mode="edge")
        for other in grid.neighbours(index):
            core = grid.tiles[other].core_label_box
            common = frame.intersection(core)
            part = self._held(other)[common.shift(-core.y0, -core.x0).slices]
            out[common.shift(-frame.y0, -frame.x0).slices] = part
        return out

    def scores(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return predicted IoU and stability score of objects 1 to n; those of parts are weighted by their pixels."""
        iou = [merged.mean_by_number(merged.predicted_iou)[1:] for merged in self._levels]
        stability = [merged.mean_by_number(merged.stability_score)[1:] for merged in self._levels]
        return np.concatenate(iou), np.concatenate(stability)

    def _held(self, index: int) -> NDArray[np.int64]:
        """Return `render`, kept for the tiles around."""
        return self._rendered.get_or_compute(index, lambda: self.render(index))

    def _enlarged(self, level: int, box: Box) -> NDArray[np.int64] | None:
        """Return objects of a coarse factor in a box of the finest label pixels; None if there are none."""
        merged = self._levels[level]
        if not merged.number.any():
            return None
        ratio = merged.grid.factor // self.factor
        y0, x0, y1, x1 = box[0] // ratio - 1, box[1] // ratio - 1, -(-box[2] // ratio) + 1, -(-box[3] // ratio) + 1
        small = np.zeros((y1 - y0, x1 - x0), np.int64)
        for index in self._cores.tiles_in(level, (y0, x0, y1, x1)):
            if self._cores.is_empty(level, index):
                continue
            core = merged.grid.tiles[index].core_label_box
            common = core.intersection((y0, x0, y1, x1))
            part = self._cores.core(level, index)[common.shift(-core.y0, -core.x0).slices]
            small[common.shift(-y0, -x0).slices] = part
        if not small.any():
            return None
        small[small > 0] += self._offsets[level]
        top, left = box[0] - y0 * ratio, box[1] - x0 * ratio
        return enlarge_labels(small, ratio)[top : top + box[2] - box[0], left : left + box[3] - box[1]]


def enlarge_core(numbers: NDArray[np.int64], tile: Tile) -> NDArray[np.int64]:
    """Enlarge a core to level-0 pixels.

    Parameters
    ----------
    numbers : ndarray of int64
        The core in label pixels, with one more pixel on each side.
    tile : Tile
        The tile.
    """
    f = tile.factor
    y0, x0, y1, x1 = tile.core
    top, left = ((v - 1) * f for v in tile.core_label_box[:2])
    return enlarge_labels(numbers, f)[y0 - top : y1 - top, x0 - left : x1 - left]
