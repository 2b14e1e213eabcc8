"""Tiles: how a whole image is cut for finding all its objects, and what is kept of each tile for joining them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.object_finder import TileObjects

SIDES = ("top", "left", "bottom", "right")


@dataclass(frozen=True)
class Tile:
    """A part of the image that is segmented by itself.

    Attributes
    ----------
    factor : int
        Level-0 pixels per label pixel along each axis.
    row, col : int
        Place among the tiles of its factor.
    core : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open: what only this tile decides. Cores do not overlap.
    outer : (int, int, int, int)
        The core with its halo, inside the image: what is looked at.
    """

    factor: int
    row: int
    col: int
    core: Box
    outer: Box

    @property
    def name(self) -> str:
        """Names its file."""
        return f"f{self.factor}-r{self.row:05d}-c{self.col:05d}"

    @property
    def label_box(self) -> Box:
        """`outer` in label pixels of the whole image."""
        return to_label_pixels(self.outer, self.factor)

    @property
    def shape(self) -> tuple[int, int]:
        """Of its label image."""
        y0, x0, y1, x1 = self.label_box
        return y1 - y0, x1 - x0

    @property
    def core_slices(self) -> tuple[slice, slice]:
        """Where the core lies in its label image."""
        y, x = self.label_box[:2]
        y0, x0, y1, x1 = to_label_pixels(self.core, self.factor)
        return slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)


def to_label_pixels(box: tuple[int, int, int, int], factor: int) -> Box:
    """A box in pixels `factor` times as large, holding all of it.

    >>> to_label_pixels((0, 4, 9, 8), 4)
    (0, 1, 3, 2)
    """
    y0, x0, y1, x1 = box
    return Box(y0 // factor, x0 // factor, -(-y1 // factor), -(-x1 // factor))


@dataclass(frozen=True)
class TileGrid:
    """All tiles of one factor.

    Attributes
    ----------
    factor : int
        Level-0 pixels per label pixel.
    rim : int
        Width of the strip along each side of a tile in which it overlaps its neighbours, label pixels.
    tiles : tuple of Tile
        Row by row.
    shape : (int, int)
        Rows and columns of tiles.
    image_shape : (int, int)
        Height and width of level 0.
    """

    factor: int
    rim: int
    tiles: tuple[Tile, ...]
    shape: tuple[int, int]
    image_shape: tuple[int, int]

    def at(self, row: int, col: int) -> int | None:
        """Index of the tile in a row and column; None beyond the border."""
        rows, cols = self.shape
        return row * cols + col if 0 <= row < rows and 0 <= col < cols else None

    def neighbours(self, index: int) -> list[int]:
        """Indices of the up to eight tiles around one."""
        tile = self.tiles[index]
        around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
        found = [self.at(tile.row + dy, tile.col + dx) for dy, dx in around]
        return [i for i in found if i is not None]

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every two tiles that touch, also at a corner; the smaller index first."""
        for i in range(len(self.tiles)):
            yield from ((i, j) for j in self.neighbours(i) if j > i)


def plan_tiles(region: Box, image_shape: tuple[int, int], factor: int, outer_px: int, halo_px: int) -> TileGrid:
    """Cut a region into tiles.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open, inside the image.
    image_shape : (int, int)
        Height and width of level 0.
    factor : int
        Level-0 pixels per label pixel.
    outer_px : int
        Side of a tile with its halo, label pixels.
    halo_px : int
        Width of the halo, label pixels.

    Returns
    -------
    TileGrid
        Cores lie on a grid that begins at the image's corner, whatever the region; those at the region's border are
        cut to it, their halos are not.

    Examples
    --------
    >>> grid = plan_tiles((0, 0, 700, 400), (700, 1000), 1, 512, 64)
    >>> [t.core for t in grid.tiles]
    [(0, 0, 384, 384), (0, 384, 384, 400), (384, 0, 700, 384), (384, 384, 700, 400)]
    >>> grid.tiles[3].outer
    (320, 320, 700, 464)
    """
    h, w = image_shape
    if max(h, w) <= outer_px * factor:  # one look at everything
        spans = [[(region[0], region[2], 0, h)], [(region[1], region[3], 0, w)]]
    else:
        step, halo = (outer_px - 2 * halo_px) * factor, halo_px * factor
        spans = [_spans(region[a], region[a + 2], image_shape[a], step, halo, factor) for a in (0, 1)]
    tiles = tuple(
        Tile(factor, row, col, Box(y0, x0, y1, x1), Box(top, left, bottom, right))
        for row, (y0, y1, top, bottom) in enumerate(spans[0])
        for col, (x0, x1, left, right) in enumerate(spans[1])
    )
    return TileGrid(factor, 2 * halo_px + 1, tiles, (len(spans[0]), len(spans[1])), (h, w))


def _spans(low: int, high: int, size: int, step: int, halo: int, factor: int) -> list[tuple[int, int, int, int]]:
    """Along one axis: begin and end of each core, begin and end with its halo."""
    found = []
    for k in range(low // step, -(-high // step)):
        start, stop = max(low, k * step), min(high, (k + 1) * step)
        outer = max(0, (start // factor) * factor - halo), min(size, -(-stop // factor) * factor + halo)
        found.append((start, stop, *outer))
    return found


@dataclass(frozen=True)
class TileTable:
    """What joining needs to know of a tile's objects, without their pixels; one entry per object.

    Attributes
    ----------
    area, core_area : ndarray of int64
        (n,) label pixels, in the whole tile and in its core.
    boxes : ndarray of int64
        (n, 4) y0, x0, y1, x1, label pixels of the whole image.
    cut : ndarray of uint8
        (n,) which borders of the tile the object touches where the image goes on: 1, 2, 4 and 8 for those of `SIDES`.
    predicted_iou, stability_score : ndarray of float32
        (n,).
    """

    area: NDArray[np.int64]
    core_area: NDArray[np.int64]
    boxes: NDArray[np.int64]
    cut: NDArray[np.uint8]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True)
class TileResult:
    """A tile's objects in the form in which they are kept.

    Attributes
    ----------
    labels : ndarray of int32
        (h, w) of the tile's `outer`.
    strips : dict of str to ndarray of int32
        Along each of `SIDES`, as wide as the rim: what neighbours need.
    table : TileTable
        Of all objects.
    """

    labels: NDArray[np.int32]
    strips: dict[str, NDArray[np.int32]]
    table: TileTable


def keep_tile(tile: Tile, objects: TileObjects, grid: TileGrid) -> TileResult:
    """Measure the objects of a tile and cut out its strips.

    Raises
    ------
    ValueError
        If the labels are not of the tile's shape, or not 1 to n.
    """
    labels = np.ascontiguousarray(objects.labels, np.int32)
    count = len(objects.predicted_iou)
    if labels.shape != tile.shape:
        raise ValueError(f"labels of shape {labels.shape} for a tile of shape {tile.shape}")
    if labels.size and (labels.min() < 0 or labels.max() > count):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for {count} objects")
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    core_area = np.bincount(labels[tile.core_slices].ravel(), minlength=count + 1)[1:]
    table = TileTable(
        area.astype(np.int64),
        core_area.astype(np.int64),
        _boxes(labels, count) + np.array(tile.label_box[:2] * 2, np.int64),
        _cut(tile, labels, count, grid.image_shape),
        np.asarray(objects.predicted_iou, np.float32),
        np.asarray(objects.stability_score, np.float32),
    )
    rim = grid.rim
    strips = {"top": labels[:rim], "left": labels[:, :rim], "bottom": labels[-rim:], "right": labels[:, -rim:]}
    return TileResult(labels, {side: np.ascontiguousarray(s) for side, s in strips.items()}, table)


def strip_box(tile: Tile, side: str, rim: int) -> Box:
    """Where a strip lies, label pixels of the whole image."""
    y0, x0, y1, x1 = tile.label_box
    boxes = {
        "top": Box(y0, x0, min(y1, y0 + rim), x1),
        "left": Box(y0, x0, y1, min(x1, x0 + rim)),
        "bottom": Box(max(y0, y1 - rim), x0, y1, x1),
        "right": Box(y0, max(x0, x1 - rim), y1, x1),
    }
    return boxes[side]


def _boxes(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """(n, 4) boxes of objects 1 to n, in the array's own pixels; zeros for those without a pixel."""
    found = ndimage.find_objects(labels, max_label=count) if count else []
    boxes = [(0, 0, 0, 0) if f is None else (f[0].start, f[1].start, f[0].stop, f[1].stop) for f in found]
    return np.array(boxes, np.int64).reshape(count, 4)


def _cut(tile: Tile, labels: NDArray[np.int32], count: int, image_shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Which sides, beyond which the image goes on, each object touches."""
    y0, x0, y1, x1 = tile.outer
    open_sides = (y0 > 0, x0 > 0, y1 < image_shape[0], x1 < image_shape[1])
    edges = (labels[0], labels[:, 0], labels[-1], labels[:, -1])
    cut = np.zeros(count + 1, np.uint8)
    for bit, is_open, edge in zip((1, 2, 4, 8), open_sides, edges, strict=True):
        if is_open:
            cut[np.unique(edge)] |= np.uint8(bit)
    out: NDArray[np.uint8] = cut[1:]
    return out
