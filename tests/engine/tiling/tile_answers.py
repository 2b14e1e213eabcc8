"""Tiles whose objects a function makes up, and how they are drawn."""

import numpy as np

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.tiling.merge_tiles import render_core
from napari_sam.engine.tiling.tiles import make_tile_result


class MadeUpTiles:
    """A `TileSource` of what a function returns for each tile: labels, or labels and scores."""

    def __init__(self, answer, *grids):
        self.results = {t.name: make_tile_result(t, as_objects(answer(t)), grid) for grid in grids for t in grid.tiles}

    def table(self, tile):
        return self.results[tile.name].table

    def strip(self, tile, side):
        return self.results[tile.name].strips[side]

    def labels(self, tile):
        return self.results[tile.name].labels


def as_objects(answer, score=0.9):
    labels, scores = answer if isinstance(answer, tuple) else (answer, None)
    values, local = np.unique(labels, return_inverse=True)
    local = local.reshape(labels.shape) + (values[0] != 0)
    count = int(local.max())
    scores = np.full(count, score, np.float32) if scores is None else np.asarray(scores, np.float32)
    return TileObjects(local.astype(np.int32), scores, scores)


def perfect(truth, tile):
    """Return the truth inside a tile, one sample per label pixel."""
    y0, x0, y1, x1 = tile.outer
    half = tile.factor // 2
    return truth[y0:y1, x0:x1][half :: tile.factor, half :: tile.factor]


def draw(merged, source):
    """Draw all cores of the merged tiles of factor 1."""
    out = np.zeros(merged.grid.image_shape, np.int64)
    for index, tile in enumerate(merged.grid.tiles):
        out[tile.core.slices] = render_core(merged, source, index)
    return out


def same_partition(a, b):
    """Whether two label images have the same objects, regardless of their ids."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def disc(shape, centre, radius):
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    return (yy - centre[0]) ** 2 + (xx - centre[1]) ** 2 <= radius**2
