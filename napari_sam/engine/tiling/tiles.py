"""Tiles of a whole image, and what is kept of each tile for merging its objects with those of its neighbours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.object_finder import TileObjects

SIDES = ("top", "left", "bottom", "right")
SIDE_BITS = (1, 2, 4, 8)
"""Bits for `SIDES` in `TileTable.cut`."""


@dataclass(frozen=True)
class Tile:
    """A part of the image that is segmented independently.

    Attributes
    ----------
    factor : int
        Level-0 pixels per label pixel along each axis.
    row, col : int
        Position in the grid of its factor.
    core : Box
        The part that only this tile decides, level-0 pixels. Cores do not overlap.
    outer : Box
        The core with its halo, clipped to the image: the part that the network sees.
    """

    factor: int
    row: int
    col: int
    core: Box
    outer: Box

    @property
    def name(self) -> str:
        """Name of the tile and of its file."""
        return f"f{self.factor}-r{self.row:05d}-c{self.col:05d}"

    @property
    def label_box(self) -> Box:
        """`outer` in label pixels of the whole image."""
        return to_label_pixels(self.outer, self.factor)

    @property
    def core_label_box(self) -> Box:
        """`core` in label pixels of the whole image."""
        return to_label_pixels(self.core, self.factor)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the tile's label image."""
        return self.label_box.shape

    @property
    def core_slices(self) -> tuple[slice, slice]:
        """Rows and columns of the core in the tile's label image."""
        y, x = self.label_box[:2]
        return self.core_label_box.shift(-y, -x).slices


def to_label_pixels(box: tuple[int, int, int, int], factor: int) -> Box:
    """Return the smallest box of pixels `factor` times as large that holds a box.

    >>> to_label_pixels((0, 4, 9, 8), 4)
    (0, 1, 3, 2)
    """
    y0, x0, y1, x1 = box
    return Box(y0 // factor, x0 // factor, -(-y1 // factor), -(-x1 // factor))


_NAME = re.compile(r"f(\d+)-r(\d{5,})-c(\d{5,})")


class TileSequence(Sequence[Tile]):
    """Tiles of one factor, row by row, each made when it is asked for: a huge image has millions.

    Parameters
    ----------
    factor : int
        Level-0 pixels per label pixel.
    rows, cols : sequence of (int, int, int, int)
        Start and stop of each core along an axis, then start and stop with its halo, level-0 pixels.
    """

    def __init__(
        self, factor: int, rows: Sequence[tuple[int, int, int, int]], cols: Sequence[tuple[int, int, int, int]]
    ) -> None:
        self._factor, self._rows, self._cols = factor, rows, cols

    def __len__(self) -> int:
        return len(self._rows) * len(self._cols)

    @overload
    def __getitem__(self, index: int) -> Tile: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tile]: ...

    def __getitem__(self, index: int | slice) -> Tile | list[Tile]:
        if isinstance(index, slice):
            return [self._tile(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        return self._tile(index % len(self))

    def named(self, name: str) -> Tile | None:
        """Return the tile of a name; None if there is none."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        factor, row, col = (int(number) for number in match.groups())
        if factor != self._factor or row >= len(self._rows) or col >= len(self._cols):
            return None
        return self._tile(row * len(self._cols) + col)

    def _tile(self, index: int) -> Tile:
        row, col = divmod(index, len(self._cols))
        (y0, y1, top, bottom), (x0, x1, left, right) = self._rows[row], self._cols[col]
        return Tile(self._factor, row, col, Box(y0, x0, y1, x1), Box(top, left, bottom, right))


@dataclass(frozen=True)
class TileGrid:
    """All tiles of one factor.

    Attributes
    ----------
    factor : int
        Level-0 pixels per label pixel.
    rim : int
        Width of the strip along each side of a tile in which it overlaps its neighbours, label pixels.
    tiles : TileSequence
        Row by row.
    shape : (int, int)
        Rows and columns of tiles.
    image_shape : (int, int)
        Height and width of level 0.
    """

    factor: int
    rim: int
    tiles: TileSequence
    shape: tuple[int, int]
    image_shape: tuple[int, int]

    def index_at(self, row: int, col: int) -> int | None:
        """Return the index of the tile in a row and column; None outside the grid."""
        rows, cols = self.shape
        return row * cols + col if 0 <= row < rows and 0 <= col < cols else None

    def neighbours(self, index: int) -> list[int]:
        """Return the indices of the up to eight tiles around a tile."""
        tile = self.tiles[index]
        steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
        indices = [self.index_at(tile.row + dy, tile.col + dx) for dy, dx in steps]
        return [i for i in indices if i is not None]

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield every two tiles that touch, also at a corner; the smaller index first."""
        for i in range(len(self.tiles)):
            yield from ((i, j) for j in self.neighbours(i) if j > i)


def plan_tiles(
    region: tuple[int, int, int, int], image_shape: tuple[int, int], factor: int, outer_px: int, halo_px: int
) -> TileGrid:
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
        Cores lie on a grid that begins at the image's corner, whatever the region. Cores at the border of the region
        are clipped to it; their halos are not.

    Examples
    --------
    >>> grid = plan_tiles((0, 0, 700, 400), (700, 1000), 1, 512, 64)
    >>> [t.core for t in grid.tiles]
    [(0, 0, 384, 384), (0, 384, 384, 400), (384, 0, 700, 384), (384, 384, 700, 400)]
    >>> grid.tiles[3].outer
    (320, 320, 700, 464)
    """
    h, w = image_shape
    if max(h, w) <= outer_px * factor:  # a single tile sees the whole image
        spans = [[(region[0], region[2], 0, h)], [(region[1], region[3], 0, w)]]
    else:
        step, halo = (outer_px - 2 * halo_px) * factor, halo_px * factor
        spans = [_spans(region[a], region[a + 2], image_shape[a], step, halo, factor) for a in (0, 1)]
    tiles = TileSequence(factor, *spans)
    return TileGrid(factor, 2 * halo_px + 1, tiles, (len(spans[0]), len(spans[1])), (h, w))


def _spans(low: int, high: int, size: int, step: int, halo: int, factor: int) -> list[tuple[int, int, int, int]]:
    """Return start and stop of each core along one axis, then start and stop with its halo."""
    spans = []
    for k in range(low // step, -(-high // step)):
        start, stop = max(low, k * step), min(high, (k + 1) * step)
        outer = max(0, (start // factor) * factor - halo), min(size, -(-stop // factor) * factor + halo)
        spans.append((start, stop, *outer))
    return spans


@dataclass(frozen=True)
class TileTable:
    """Properties of a tile's objects that merging needs, without their pixels; one entry per object.

    Attributes
    ----------
    area, core_area : ndarray of int64
        (n,) label pixels, in the whole tile and in its core.
    boxes : ndarray of int64
        (n, 4) y0, x0, y1, x1, label pixels of the whole image.
    cut : ndarray of uint8
        (n,) sides of the tile that the object touches where the image continues beyond, as the sum of `SIDE_BITS`.
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
    """Objects of a tile in the form in which they are stored.

    Attributes
    ----------
    labels : ndarray of int32
        (h, w) of the tile's `outer`.
    strips : dict of str to ndarray of int32
        Labels along each of `SIDES`, as wide as the grid's rim; the neighbours need them.
    table : TileTable
        Properties of all objects.
    """

    labels: NDArray[np.int32]
    strips: dict[str, NDArray[np.int32]]
    table: TileTable


def make_tile_result(tile: Tile, objects: TileObjects, grid: TileGrid) -> TileResult:
    """Measure the objects of a tile and cut out its strips.

    Raises
    ------
    ValueError
        If the labels do not have the tile's shape, or lie outside 0 to n.
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
        _object_boxes(labels, count) + np.array(tile.label_box[:2] * 2, np.int64),
        _cut_sides(tile, labels, count, grid.image_shape),
        np.asarray(objects.predicted_iou, np.float32),
        np.asarray(objects.stability_score, np.float32),
    )
    rim = grid.rim
    strips = {"top": labels[:rim], "left": labels[:, :rim], "bottom": labels[-rim:], "right": labels[:, -rim:]}
    return TileResult(labels, {side: np.ascontiguousarray(s) for side, s in strips.items()}, table)


def strip_box(tile: Tile, side: str, rim: int) -> Box:
    """Return the box of a tile's strip, label pixels of the whole image."""
    y0, x0, y1, x1 = tile.label_box
    boxes = {
        "top": Box(y0, x0, min(y1, y0 + rim), x1),
        "left": Box(y0, x0, y1, min(x1, x0 + rim)),
        "bottom": Box(max(y0, y1 - rim), x0, y1, x1),
        "right": Box(y0, max(x0, x1 - rim), y1, x1),
    }
    return boxes[side]


def _object_boxes(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Return the (n, 4) boxes of objects 1 to n in pixels of the array; zeros for an object without pixels."""
    slices = ndimage.find_objects(labels, max_label=count) if count else []
    boxes = [(0, 0, 0, 0) if s is None else (s[0].start, s[1].start, s[0].stop, s[1].stop) for s in slices]
    return np.array(boxes, np.int64).reshape(count, 4)


def _cut_sides(tile: Tile, labels: NDArray[np.int32], count: int, image_shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the sides that each object touches where the image continues beyond the tile."""
    y0, x0, y1, x1 = tile.outer
    open_sides = (y0 > 0, x0 > 0, y1 < image_shape[0], x1 < image_shape[1])
    edges = (labels[0], labels[:, 0], labels[-1], labels[:, -1])
    cut = np.zeros(count + 1, np.uint8)
    for bit, is_open, edge in zip(SIDE_BITS, open_sides, edges, strict=True):
        if is_open:
            cut[np.unique(edge)] |= np.uint8(bit)
    out: NDArray[np.uint8] = cut[1:]
    return out
