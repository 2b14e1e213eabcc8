"""Seams: how many objects at tile borders are split or wrongly joined, with a model that errs differently per tile.

    python -m benchmarks.seams [--side 8192]

The image is drawn: cells with known labels. The "model" sees each tile bent by up to 2 px, misses 2 % of the cells and
takes 1 % of them together with a neighbour, independently in each tile, as in IO.md section 3.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.tiling.merge_tiles import merge_tiles, render_core
from napari_sam.engine.tiling.tiles import Tile, TileGrid, TileTable, make_tile_result, plan_tiles

if TYPE_CHECKING:
    from napari_sam.engine.geometry import Box

_PITCH = 32.5


def cells(side: int, seed: int = 0) -> np.ndarray:
    """A label image of crowded, bent ellipses, one per `_PITCH` pixels along each axis."""
    rng = np.random.default_rng(seed)
    count = int(side / _PITCH)
    labels = np.zeros((side, side), np.int32)
    number = 0
    for row in range(count):
        for col in range(count):
            number += 1
            y, x = (np.array([row, col]) + 0.5) * _PITCH + rng.uniform(-4, 4, 2)
            a, b = rng.uniform(9, 18, 2)
            turn = rng.uniform(0, np.pi)
            y0, x0 = max(0, int(y - 20)), max(0, int(x - 20))
            yy, xx = np.ogrid[y0 : min(side, y0 + 40), x0 : min(side, x0 + 40)]
            u = (yy - y) * np.cos(turn) + (xx - x) * np.sin(turn)
            v = (xx - x) * np.cos(turn) - (yy - y) * np.sin(turn)
            there = labels[y0 : y0 + 40, x0 : x0 + 40]
            there[((u / a) ** 2 + (v / b) ** 2 <= 1) & (there == 0)] = number
    return labels


def imperfect(truth: np.ndarray, region: Box, seed: int, warp_px: float = 2, miss: float = 0.02, fuse: float = 0.01):
    """What the model says of a region."""
    rng = np.random.default_rng([seed, *region])
    y0, x0, y1, x1 = region
    shape = (y1 - y0, x1 - x0)
    bend = [
        ndimage.zoom(rng.uniform(-warp_px, warp_px, (s0, s1)), (shape[0] / s0, shape[1] / s1), order=1)
        for s0, s1 in [tuple(max(2, -(-n // 40)) for n in shape)] * 2
    ]
    yy = np.clip(np.round(np.arange(y0, y1)[:, None] + bend[0][: shape[0], : shape[1]]).astype(int), 0, len(truth) - 1)
    xx = np.clip(np.round(np.arange(x0, x1)[None] + bend[1][: shape[0], : shape[1]]).astype(int), 0, len(truth) - 1)
    seen = truth[yy, xx]
    ids = np.unique(seen)[1:]
    lut = np.arange(truth.max() + 1)
    lut[ids[rng.random(len(ids)) < miss]] = 0
    touching = np.concatenate(
        [
            np.stack([a, b], 1)[(a != b) & (a > 0) & (b > 0)]
            for a, b in ((seen[:-1].ravel(), seen[1:].ravel()), (seen[:, :-1].ravel(), seen[:, 1:].ravel()))
        ]
    )
    touching = np.unique(np.sort(touching, 1), axis=0)
    for a, b in touching[rng.permutation(len(touching))[: int(fuse * len(ids))]]:
        lut[b] = lut[a]
    seen = lut[seen]
    values, local = np.unique(seen, return_inverse=True)
    local = local.reshape(seen.shape) + (0 if values[0] == 0 else 1)
    count = int(local.max())
    return TileObjects(local.astype(np.int32), np.ones(count, np.float32), np.ones(count, np.float32))


class Memory:
    """Results of tiles in memory, made when asked for."""

    def __init__(self, truth: np.ndarray, grid: TileGrid, seed: int, **model: float) -> None:
        self._results = {
            t.name: make_tile_result(t, imperfect(truth, t.outer, seed, **model), grid) for t in grid.tiles
        }

    def table(self, tile: Tile) -> TileTable:
        """Of all objects of a tile."""
        return self._results[tile.name].table

    def strip(self, tile: Tile, side: str) -> np.ndarray:
        """Labels along a side."""
        return self._results[tile.name].strips[side]

    def labels(self, tile: Tile) -> np.ndarray:
        """Labels of a tile."""
        return self._results[tile.name].labels


def compare(truth: np.ndarray, found: np.ndarray, grid: TileGrid) -> dict[str, int]:
    """Border objects, how many of them are split, and groups of objects that became one."""
    border = set()
    for t in grid.tiles:
        y0, x0, y1, x1 = t.core
        if y0:
            both = truth[y0 - 1, x0:x1]
            border |= set(both[(both == truth[y0, x0:x1]) & (both > 0)].tolist())
        if x0:
            both = truth[y0:y1, x0 - 1]
            border |= set(both[(both == truth[y0:y1, x0]) & (both > 0)].tolist())
    sizes = np.bincount(truth.ravel())
    keys, counts = np.unique(
        truth.astype(np.int64).ravel() * (int(found.max()) + 1) + found.ravel(), return_counts=True
    )
    true, label = np.divmod(keys, int(found.max()) + 1)
    good = (true > 0) & (label > 0)
    true, label, share = true[good], label[good], counts[good] / sizes[true[good]]
    many = np.bincount(true[share >= 0.1])
    split = sum(1 for b in border if b < len(many) and many[b] > 1)
    merged = np.bincount(label[share >= 0.5])
    missed = len(np.setdiff1d(np.unique(truth)[1:], true[share >= 0.5]))
    return {"border": len(border), "split": split, "merged": int((merged > 1).sum()), "missed": missed}


def cores_alone(source: Memory, grid: TileGrid) -> np.ndarray:
    """What the model says without any joining."""
    out = np.zeros(grid.image_shape, np.int64)
    offset = 0
    for t in grid.tiles:
        local = source.labels(t)[t.core_slices].astype(np.int64)
        y0, x0, y1, x1 = t.core
        out[y0:y1, x0:x1] = np.where(local > 0, local + offset, 0)
        offset += len(source.table(t))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--halo", type=int, default=96)
    options = parser.parse_args()
    truth = cells(options.side)
    grid = plan_tiles((0, 0, *truth.shape), truth.shape, 1, 1024 + 2 * options.halo, options.halo)
    source = Memory(truth, grid, 1)
    started = time.perf_counter()
    joined = merge_tiles(grid, source)
    linked = time.perf_counter()
    out = np.zeros(truth.shape, np.int64)
    for i, t in enumerate(grid.tiles):
        y0, x0, y1, x1 = t.core
        out[y0:y1, x0:x1] = render_core(joined, source, i)
    drawn = time.perf_counter()
    print(
        f"{int(truth.max())} cells, {len(grid.tiles)} tiles; joining {linked - started:.2f} s, "
        f"drawing {drawn - linked:.2f} s"
    )
    print("cores alone:", compare(truth, cores_alone(source, grid), grid))
    print("joined:     ", compare(truth, out, grid))


if __name__ == "__main__":
    main()
