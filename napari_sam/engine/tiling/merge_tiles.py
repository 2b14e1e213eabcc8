"""Merge the objects of neighbouring tiles.

Two objects of neighbouring tiles are the same object if their IoU in the shared overlap is at least one half, and each
is the other's best match there. Of an object that some tile saw whole, the version with most pixels in its own tile's
core is kept and drawn across the border, so that its outline is of one piece. An object that no tile saw whole is
assembled from the parts in the cores. The result does not depend on the order of the tiles.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from napari_sam.engine.number_components import number_components
from napari_sam.engine.tiling.tiles import SIDE_BITS, strip_box, to_label_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.tiles import Tile, TileGrid, TileTable

_SAME_OBJECT_IOU = 0.5  # IoU in the shared overlap from which two objects are the same
_COVERED_SHARE = 0.5  # an object is dropped if objects of a neighbour's core cover at least this share of it

Label = TypeVar("Label", bound=np.generic)

DROPPED, WHOLE, PART = 0, 1, 2
"""States of an object of a tile."""


class TileSource(Protocol):
    """Reads the results of tiles; a tile that failed has no objects."""

    def table(self, tile: Tile) -> TileTable:
        """Return the properties of a tile's objects."""

    def strip(self, tile: Tile, side: str) -> NDArray[np.int32]:
        """Return the labels along one of `SIDES`."""

    def labels(self, tile: Tile) -> NDArray[np.int32]:
        """Return the labels of the whole tile."""


@dataclass
class MergedTiles:
    """State and number of every object of every tile of one factor.

    The arrays have one entry per object of a tile.

    Attributes
    ----------
    grid : TileGrid
        The tiles.
    offsets : ndarray of int64
        (tiles + 1,) the objects of tile i are the entries from offsets[i] to offsets[i + 1].
    state : ndarray of int8
        `DROPPED`, `WHOLE` (drawn across borders) or `PART` (drawn only in the core of its tile).
    number : ndarray of int64
        Number of the object from 1, shared by its parts; 0 if dropped.
    boxes : ndarray of int64
        (n, 4) y0, x0, y1, x1, label pixels of the whole image.
    predicted_iou, stability_score : ndarray of float32
        (n,).
    area : ndarray of int64
        (n,) label pixels.
    agreed : ndarray of bool
        (n,) whether the object is assembled from parts that match a part of the neighbour wherever a tile cuts them.
    """

    grid: TileGrid
    offsets: NDArray[np.int64]
    state: NDArray[np.int8]
    number: NDArray[np.int64]
    boxes: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    area: NDArray[np.int64]
    agreed: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Highest number of an object."""
        return int(self.number.max(initial=0))

    def entries_of(self, index: int) -> slice:
        """Return the entries of a tile's objects."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def renumber(self) -> None:
        """Remove gaps between the numbers and keep their order."""
        kept = np.unique(self.number)
        self.number = np.searchsorted(kept[kept > 0], self.number) + 1
        self.number[self.state == DROPPED] = 0

    def drop(self, entries: NDArray[np.bool_]) -> None:
        """Mark entries as dropped and take their numbers away."""
        self.state[entries] = DROPPED
        self.number[self.state == DROPPED] = 0

    def numbers_in_state(self, state: int) -> NDArray[np.bool_]:
        """Return which numbers have an entry in a state."""
        out = np.zeros(self.count + 1, bool)
        out[self.number[self.state == state]] = True
        out[0] = False
        return out

    def mean_by_number(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of a value (n,) of the parts of each number, weighted by their pixels: (count + 1,)."""
        kept = np.where(self.state == DROPPED, 0, self.area).astype(np.float64)
        size = self.count + 1
        weight = np.maximum(np.bincount(self.number, kept, minlength=size), 1)
        return (np.bincount(self.number, kept * values, minlength=size) / weight).astype(np.float32)

    def extents(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the last (y, x) of each number, level-0 pixels."""
        low = np.full((self.count + 1, 2), np.iinfo(np.int32).max, np.int64)
        high = np.zeros((self.count + 1, 2), np.int64)
        np.minimum.at(low, self.number, self.boxes[:, :2])
        np.maximum.at(high, self.number, self.boxes[:, 2:])
        return low * self.grid.factor, high * self.grid.factor

    def reaches_into(self, index: int) -> bool:
        """Whether an object of a neighbouring tile reaches into the core of a tile."""
        core = self.grid.tiles[index].core_label_box
        for other in self.grid.neighbours(index):
            entries = self.entries_of(other)
            if boxes_meet(self.boxes[entries][self.number[entries] > 0], core).any():
                return True
        return False


@dataclass(frozen=True)
class _Overlap:
    """Pairs of objects that share pixels in the overlap of two tiles, as indices of entries."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    pixels: NDArray[np.int64]
    agree: NDArray[np.bool_]


def merge_tiles(grid: TileGrid, source: TileSource, blocked: NDArray[np.bool_] | None = None) -> MergedTiles:
    """Merge the objects of all tiles of one factor.

    Parameters
    ----------
    grid : TileGrid
        The tiles.
    source : TileSource
        Reads their results.
    blocked : ndarray of bool, optional
        Entries that must not be drawn.

    Returns
    -------
    MergedTiles
    """
    tables = [source.table(tile) for tile in grid.tiles]
    region = to_label_pixels(grid.tiles[0].core.union(grid.tiles[-1].core), grid.factor)
    offsets = np.concatenate(([0], np.cumsum([len(t) for t in tables]))).astype(np.int64)
    area, core, boxes, cut, iou, stability = (
        np.concatenate([getattr(t, name) for t in tables])
        for name in ("area", "core_area", "boxes", "cut", "predicted_iou", "stability_score")
    )
    overlaps = [_overlap(grid, source, offsets, i, j) for i, j in grid.pairs()]
    state = np.where(cut > 0, np.where(core > 0, PART, DROPPED), WHOLE).astype(np.int8)
    state[(area == 0) | ~boxes_meet(boxes, region)] = DROPPED
    if blocked is not None:
        state[blocked] = DROPPED
    _resolve_conflicts(state, area, core, iou, overlaps)
    links = _keep_best_versions(state, core, cut, overlaps)
    _drop_covered(state, area, core, overlaps)
    number = _numbers(state, links)
    matched = _matched_sides(grid, offsets, len(state), overlaps)
    agreed = _agreed(state, number, (cut & ~matched) > 0)
    return MergedTiles(grid, offsets, state, number, boxes, iou, stability, area, agreed)


def _overlap(grid: TileGrid, source: TileSource, offsets: NDArray[np.int64], i: int, j: int) -> _Overlap:
    """Compare the objects of two tiles in their overlap."""
    tile, neighbour = grid.tiles[i], grid.tiles[j]
    sides = ("right", "left") if tile.row == neighbour.row else ("bottom", "top")
    box = tile.label_box.intersection(neighbour.label_box)
    a = crop(source.strip(tile, sides[0]), strip_box(tile, sides[0], grid.rim), box)
    b = crop(source.strip(neighbour, sides[1]), strip_box(neighbour, sides[1], grid.rim), box)
    sizes_a, sizes_b = np.bincount(a.ravel()), np.bincount(b.ravel())
    both = (a > 0) & (b > 0)
    keys, pixels = np.unique(a[both].astype(np.int64) * len(sizes_b) + b[both], return_counts=True)
    first, second = np.divmod(keys, max(len(sizes_b), 1))
    iou = pixels / (sizes_a[first] + sizes_b[second] - pixels)
    agree = (iou >= _SAME_OBJECT_IOU) & _is_best(first, iou) & _is_best(second, iou)
    return _Overlap(first - 1 + offsets[i], second - 1 + offsets[j], pixels.astype(np.int64), agree)


def boxes_meet(boxes: NDArray[np.int64], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return which of (n, 4) boxes share a pixel with a box."""
    y0, x0, y1, x1 = boxes.T
    out: NDArray[np.bool_] = (y0 < box[2]) & (y1 > box[0]) & (x0 < box[3]) & (x1 > box[1])
    return out


def _is_best(owner: NDArray[np.int64], score: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which entry has the highest score of its owner; the first of equals.

    >>> _is_best(np.array([7, 7, 8]), np.array([0.5, 0.5, 0.1]))
    array([ True, False,  True])
    """
    order = np.lexsort((np.arange(len(owner)), -score, owner))
    best = np.zeros(len(owner), bool)
    best[order[np.concatenate(([True], owner[order][1:] != owner[order][:-1]))[: len(order)]]] = True
    return best


def _resolve_conflicts(
    state: NDArray[np.int8],
    area: NDArray[np.int64],
    core: NDArray[np.int64],
    score: NDArray[np.float32],
    overlaps: list[_Overlap],
) -> None:
    """Drop one of two answers where a tile sees one object and its neighbour sees several, or a piece of it.

    Against several objects that fill it, an object is kept only if its score exceeds their mean, since networks merge
    objects more often than they split them. Against a single piece, the object with more pixels in its own tile's core
    is kept.
    """
    for overlap in overlaps:
        for whole, piece in ((overlap.first, overlap.second), (overlap.second, overlap.first)):
            inside = 2 * overlap.pixels >= area[piece]
            inside &= (state[whole] == WHOLE) & (state[piece] == WHOLE) & (area[whole] > area[piece])
            order = np.flatnonzero(inside)[np.argsort(whole[inside], kind="stable")]
            starts = np.flatnonzero(np.diff(whole[order], prepend=-1))
            for group in np.split(order, starts[1:]) if len(order) else []:
                entry, pieces = whole[group[0]], piece[group]
                if state[entry] != WHOLE:
                    continue
                if len(pieces) > 1 and 2 * overlap.pixels[group].sum() >= area[entry]:
                    keep = score[entry] > score[pieces].mean()
                elif len(pieces) == 1 and not overlap.agree[group][0]:
                    keep = bool(core[entry] >= core[pieces[0]])
                else:
                    continue
                state[pieces if keep else entry] = DROPPED


def _keep_best_versions(
    state: NDArray[np.int8], core: NDArray[np.int64], cut: NDArray[np.uint8], overlaps: list[_Overlap]
) -> NDArray[np.int64]:
    """Keep one version of each object that a tile saw whole; returns (n, 2) links between parts of other objects."""
    agreeing = [np.stack([o.first[o.agree], o.second[o.agree]], 1) for o in overlaps]
    links = np.concatenate([np.empty((0, 2), np.int64), *agreeing])
    links = links[(state[links] != DROPPED).all(1)]
    partners: dict[int, list[int]] = defaultdict(list)
    for a, b in links.tolist():
        partners[a].append(b)
        partners[b].append(a)
    # Versions with most core pixels come first; a version overrules only those that it was compared with.
    order = sorted((n for n in partners if not cut[n]), key=lambda n: (-int(core[n]), n))
    kept: set[int] = set()
    for node in order:
        if state[node] != WHOLE:
            continue
        kept.add(node)
        for other in partners[node]:
            if other not in kept:
                state[other] = DROPPED
    parts: NDArray[np.int64] = links[(state[links] == PART).all(1)]
    return parts


def _matched_sides(
    grid: TileGrid, offsets: NDArray[np.int64], entries: int, overlaps: list[_Overlap]
) -> NDArray[np.uint8]:
    """Return the sides where each entry matches an object of the neighbour or has no neighbour."""
    top, left, bottom, right = SIDE_BITS
    matched = np.zeros(entries, np.uint8)
    for (i, j), overlap in zip(grid.pairs(), overlaps, strict=True):
        dy, dx = grid.tiles[j].row - grid.tiles[i].row, grid.tiles[j].col - grid.tiles[i].col
        sides_of_first = top * (dy < 0) | left * (dx < 0) | bottom * (dy > 0) | right * (dx > 0)
        sides_of_second = top * (dy > 0) | left * (dx > 0) | right * (dx < 0)
        matched[overlap.first[overlap.agree]] |= np.uint8(sides_of_first)
        matched[overlap.second[overlap.agree]] |= np.uint8(sides_of_second)
    steps = [(-1, 0), (0, -1), (1, 0), (0, 1)]
    for index, tile in enumerate(grid.tiles):
        alone = [grid.index_at(tile.row + dy, tile.col + dx) is None for dy, dx in steps]
        bits = sum(bit for bit, is_alone in zip(SIDE_BITS, alone, strict=True) if is_alone)
        matched[offsets[index] : offsets[index + 1]] |= np.uint8(bits)
    return matched


def _agreed(state: NDArray[np.int8], number: NDArray[np.int64], unmatched: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which entries belong to an object of parts none of which is unmatched at a side where it is cut."""
    doubtful = np.zeros(int(number.max(initial=0)) + 1, bool)
    doubtful[number[(state == PART) & unmatched]] = True
    out: NDArray[np.bool_] = (state == PART) & ~doubtful[number]
    return out


def _drop_covered(
    state: NDArray[np.int8], area: NDArray[np.int64], core: NDArray[np.int64], overlaps: list[_Overlap]
) -> None:
    """Drop objects that lie mostly in a neighbour's core if the neighbour sees other objects there."""
    outside = (state == WHOLE) & (2 * core < area)
    at_home = (state != DROPPED) & ~outside
    covered = np.zeros(len(state), np.int64)
    for overlap in overlaps:
        for entry, other in ((overlap.first, overlap.second), (overlap.second, overlap.first)):
            counts = outside[entry] & at_home[other]
            np.add.at(covered, entry[counts], overlap.pixels[counts])
    state[outside & (covered >= _COVERED_SHARE * area)] = DROPPED


def _numbers(state: NDArray[np.int8], links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the entries from 1 in their order; linked parts share a number."""
    return number_components(len(state), links, state != DROPPED)


def render_core(merged: MergedTiles, source: TileSource, index: int) -> NDArray[np.int64]:
    """Return the numbers of the objects in the core of a tile, (h, w) label pixels.

    The tile's own objects are drawn first, then objects of its neighbours that reach in, where no object is yet.
    """
    grid = merged.grid
    tile = grid.tiles[index]
    core = tile.core_label_box
    out = _number_of_label(merged, index, (WHOLE, PART))[source.labels(tile)[tile.core_slices]]
    for other in grid.neighbours(index):
        reaches = np.concatenate(([False], boxes_meet(merged.boxes[merged.entries_of(other)], core)))
        numbers = np.where(reaches, _number_of_label(merged, other, (WHOLE,)), 0)
        if numbers.any():
            _draw_neighbour(out, tile, grid.tiles[other], numbers, grid, source)
    return out


def _number_of_label(merged: MergedTiles, index: int, states: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the number of each label of a tile; 0 for labels in other states."""
    entries = merged.entries_of(index)
    number = np.where(np.isin(merged.state[entries], states), merged.number[entries], 0)
    return np.concatenate(([0], number))


def _draw_neighbour(
    out: NDArray[np.int64],
    tile: Tile,
    neighbour: Tile,
    numbers: NDArray[np.int64],
    grid: TileGrid,
    source: TileSource,
) -> None:
    """Draw objects of a neighbour into the core of a tile where no object is yet."""
    if neighbour.row == tile.row:
        side = "right" if neighbour.col < tile.col else "left"
    else:
        side = "bottom" if neighbour.row < tile.row else "top"
    core, strip = tile.core_label_box, strip_box(neighbour, side, grid.rim)
    common = core.intersection(strip)
    if common.is_empty:
        return
    target = crop(out, core, common)
    drawn = numbers[crop(source.strip(neighbour, side), strip, common)]
    np.copyto(target, drawn, where=target == 0)


def crop(labels: NDArray[Label], frame: Box, box: Box) -> NDArray[Label]:
    """Return the part of an array that covers `frame` inside `box`, a view."""
    return labels[box.shift(-frame.y0, -frame.x0).slices]
