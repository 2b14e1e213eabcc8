"""Draw the cores of tiles of several factors, and keep the most recent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.tiling.merge_tiles import render_core
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.merge_tiles import MergedTiles, TileSource

_HELD_TILES = 12


class ScaleCores:
    """Cores of tiles, drawn from the merged tiles of several factors.

    Parameters
    ----------
    levels : sequence of MergedTiles
        One per factor, finest first.
    source : TileSource
        Results of the tiles.
    """

    def __init__(self, levels: Sequence[MergedTiles], source: TileSource) -> None:
        self._levels, self._source = levels, source
        self._cores: LRU[tuple[int, int], NDArray[np.int64]] = LRU(limit_count=_HELD_TILES)
        self._edges: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def forget(self) -> None:
        """Forget all cores, after the state or the numbers of objects have changed."""
        self._cores.clear()

    def render(self, level: int, index: int) -> NDArray[np.int64]:
        """Return the numbers of the objects in the core of a tile, drawn anew."""
        return render_core(self._levels[level], self._source, index)

    def core(self, level: int, index: int) -> NDArray[np.int64]:
        """Return the numbers of the objects in the core of a tile; do not change the array."""
        return self._cores.get_or_compute((level, index), lambda: self.render(level, index))

    def is_empty(self, level: int, index: int) -> bool:
        """Whether no object of this factor reaches the core of a tile."""
        merged = self._levels[level]
        return not merged.number[merged.entries_of(index)].any() and not merged.reaches_into(index)

    def sample(self, level: int, box: Box, factor: int) -> NDArray[np.int64]:
        """Sample the numbers of a finer factor once per pixel of a coarser one.

        Parameters
        ----------
        level : int
            Index of the finer factor.
        box : Box
            What to sample, in label pixels of the coarser factor.
        factor : int
            The coarser factor.
        """
        grid = self._levels[level].grid
        ratio = factor // grid.factor
        y0, x0, y1, x1 = box
        out = np.zeros((y1 - y0, x1 - x0), np.int64)
        rows, cols = (np.arange(a, b) * ratio + ratio // 2 for a, b in ((y0, y1), (x0, x1)))
        for index in self.tiles_in(level, (y0 * ratio, x0 * ratio, y1 * ratio, x1 * ratio)):
            top, left, bottom, right = grid.tiles[index].core_label_box
            y, x = np.flatnonzero((rows >= top) & (rows < bottom)), np.flatnonzero((cols >= left) & (cols < right))
            if len(y) and len(x):
                core = self.render(level, index)
                out[np.ix_(y, x)] = core[np.ix_(rows[y] - top, cols[x] - left)]
        return out

    def tiles_in(self, level: int, box: tuple[int, int, int, int]) -> Iterator[int]:
        """Yield the tiles of a factor whose cores share a pixel with a box in its label pixels."""
        grid = self._levels[level].grid
        if level not in self._edges:
            rows, cols = grid.shape
            first_col = [grid.tiles[row * cols].core_label_box for row in range(rows)]
            first_row = [grid.tiles[col].core_label_box for col in range(cols)]
            self._edges[level] = (
                np.array([[core[a] for core in first_col] for a in (0, 2)]),
                np.array([[core[a] for core in first_row] for a in (1, 3)]),
            )
        (top, bottom), (left, right) = self._edges[level]
        for row in range(int(np.searchsorted(bottom, box[0], "right")), int(np.searchsorted(top, box[2], "left"))):
            for col in range(int(np.searchsorted(right, box[1], "right")), int(np.searchsorted(left, box[3], "left"))):
                yield row * grid.shape[1] + col
