"""Joining tiles: which objects of neighbouring tiles are one, and which tile's version of it is kept.

Two objects of neighbouring tiles are one where they agree (IoU of one half and more, each the other's best) in what
both tiles saw. Of an object that some tile saw whole, the version of the tile that holds most of it is kept, and drawn
across the border: its outline is of one piece. An object that no tile saw whole is put together of the parts that lie
in the cores. Nothing depends on the order in which tiles were made.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_sam.engine.tiling.tiles import strip_box, to_label_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.tiles import Tile, TileGrid, TileTable

_AGREE = 0.5  # IoU in the shared overlap from which two objects are one
_TAKEN = 0.5  # an object of which so much is covered by others, that have more right to it, is left out

DROPPED, WHOLE, PART = 0, 1, 2


class TileSource(Protocol):
    """Where results of tiles are read; all are empty for a tile that failed."""

    def table(self, tile: Tile) -> TileTable:
        """Of all objects of a tile."""

    def strip(self, tile: Tile, side: str) -> NDArray[np.int32]:
        """Labels along one of `SIDES`."""

    def labels(self, tile: Tile) -> NDArray[np.int32]:
        """Labels of the whole tile."""


@dataclass
class Joined:
    """What became of every object of every tile of one factor.

    Attributes
    ----------
    grid : TileGrid
        The tiles.
    offsets : ndarray of int64
        (tiles + 1,) objects of tile i have the entries from offsets[i] to offsets[i + 1].
    state : ndarray of int8
        `DROPPED`, `WHOLE` (this version is drawn, across borders) or `PART` (drawn in its tile's core only).
    number : ndarray of int64
        From 1, 0 for what was dropped; parts of one object share theirs.
    boxes : ndarray of int64
        (n, 4) of each entry, label pixels of the whole image.
    predicted_iou, stability_score : ndarray of float32
        (n,) of each entry.
    area : ndarray of int64
        (n,) of each entry, label pixels.
    agreed : ndarray of bool
        (n,) whether the object is put together of parts that agree with their neighbours wherever a tile cuts them.
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
        """Highest number."""
        return int(self.number.max(initial=0))

    def of_tile(self, index: int) -> slice:
        """Entries of a tile's objects."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def renumber(self) -> None:
        """Close gaps in the numbers, keeping their order."""
        kept = np.unique(self.number)
        self.number = np.searchsorted(kept[kept > 0], self.number) + 1
        self.number[self.state == DROPPED] = 0


@dataclass(frozen=True)
class _Shared:
    """Objects that lie on one another in the overlap of two tiles, as entries of all objects."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    pixels: NDArray[np.int64]
    agree: NDArray[np.bool_]


def join(grid: TileGrid, source: TileSource, blocked: NDArray[np.bool_] | None = None) -> Joined:
    """Decide what becomes of each object of each tile.

    Parameters
    ----------
    grid : TileGrid
        The tiles.
    source : TileSource
        Their results.
    blocked : ndarray of bool, optional
        Entries that must not be drawn.

    Returns
    -------
    Joined
    """
    tables = [source.table(tile) for tile in grid.tiles]
    region = to_label_pixels(
        (*grid.tiles[0].core[:2], *grid.tiles[-1].core[2:]),
        grid.factor,
    )
    offsets = np.concatenate(([0], np.cumsum([len(t) for t in tables]))).astype(np.int64)
    area, core, boxes, cut, iou, stability = (
        np.concatenate([getattr(t, name) for t in tables])
        for name in ("area", "core_area", "boxes", "cut", "predicted_iou", "stability_score")
    )
    shared = [_shared(grid, source, offsets, i, j) for i, j in grid.pairs()]
    state = np.where(cut > 0, np.where(core > 0, PART, DROPPED), WHOLE).astype(np.int8)
    state[(area == 0) | ~_meets(boxes, region)] = DROPPED
    if blocked is not None:
        state[blocked] = DROPPED
    _contest(state, area, core, iou, shared)
    parts = _settle(state, core, cut, shared)
    _drop_guests(state, area, core, shared)
    number = _numbers(state, parts)
    agreed = _agreed(grid, offsets, state, number, cut, shared)
    return Joined(grid, offsets, state, number, boxes, iou, stability, area, agreed)


def _shared(grid: TileGrid, source: TileSource, offsets: NDArray[np.int64], i: int, j: int) -> _Shared:
    """Compare the objects of two tiles where both saw them."""
    one, other = grid.tiles[i], grid.tiles[j]
    sides = ("right", "left") if one.row == other.row else ("bottom", "top")
    box = one.label_box.intersection(other.label_box)
    a = _cut_out(source.strip(one, sides[0]), strip_box(one, sides[0], grid.rim), box)
    b = _cut_out(source.strip(other, sides[1]), strip_box(other, sides[1], grid.rim), box)
    sizes_a, sizes_b = np.bincount(a.ravel()), np.bincount(b.ravel())
    both = (a > 0) & (b > 0)
    keys, pixels = np.unique(a[both].astype(np.int64) * len(sizes_b) + b[both], return_counts=True)
    first, second = np.divmod(keys, max(len(sizes_b), 1))
    iou = pixels / (sizes_a[first] + sizes_b[second] - pixels)
    agree = (iou >= _AGREE) & _is_best(first, iou) & _is_best(second, iou)
    return _Shared(first - 1 + offsets[i], second - 1 + offsets[j], pixels.astype(np.int64), agree)


def _meets(boxes: NDArray[np.int64], box: Box) -> NDArray[np.bool_]:
    """Which of (n, 4) boxes have something in common with one."""
    y0, x0, y1, x1 = boxes.T
    out: NDArray[np.bool_] = (y0 < box[2]) & (y1 > box[0]) & (x0 < box[3]) & (x1 > box[1])
    return out


def _is_best(owner: NDArray[np.int64], score: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which entry is the best of its owner; the first of equals.

    >>> _is_best(np.array([7, 7, 8]), np.array([0.5, 0.5, 0.1]))
    array([ True, False,  True])
    """
    order = np.lexsort((np.arange(len(owner)), -score, owner))
    best = np.zeros(len(owner), bool)
    best[order[np.concatenate(([True], owner[order][1:] != owner[order][:-1]))[: len(order)]]] = True
    return best


def _contest(
    state: NDArray[np.int8],
    area: NDArray[np.int64],
    core: NDArray[np.int64],
    score: NDArray[np.float32],
    shared: list[_Shared],
) -> None:
    """Where one tile sees one object and its neighbour several, or a piece, let one of the two answers go.

    Against several that fill it, an object stands only if its score is above their mean: taking objects together is
    the commoner fault. Against a single piece, the one that lies more in its own tile's core stands.
    """
    for s in shared:
        for whole, piece in ((s.first, s.second), (s.second, s.first)):
            inside = 2 * s.pixels >= area[piece]
            inside &= (state[whole] == WHOLE) & (state[piece] == WHOLE) & (area[whole] > area[piece])
            order = np.flatnonzero(inside)[np.argsort(whole[inside], kind="stable")]
            begins = np.flatnonzero(np.diff(whole[order], prepend=-1))
            for these in np.split(order, begins[1:]) if len(order) else []:
                a, pieces = whole[these[0]], piece[these]
                if state[a] != WHOLE:
                    continue
                if len(pieces) > 1 and 2 * s.pixels[these].sum() >= area[a]:
                    stands = score[a] > score[pieces].mean()
                elif len(pieces) == 1 and not s.agree[these][0]:
                    stands = bool(core[a] >= core[pieces[0]])
                else:
                    continue
                state[pieces if stands else a] = DROPPED


def _settle(
    state: NDArray[np.int8], core: NDArray[np.int64], cut: NDArray[np.bool_], shared: list[_Shared]
) -> NDArray[np.int64]:
    """Keep one version of each object that a tile saw whole; returns links (n, 2) between the parts of the others."""
    agreeing = [np.stack([s.first[s.agree], s.second[s.agree]], 1) for s in shared]
    links = np.concatenate([np.empty((0, 2), np.int64), *agreeing])
    links = links[(state[links] != DROPPED).all(1)]
    partners: dict[int, list[int]] = defaultdict(list)
    for a, b in links.tolist():
        partners[a].append(b)
        partners[b].append(a)
    # Those that hold most of an object first; a version only overrules those that it was itself compared with.
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


def _agreed(
    grid: TileGrid,
    offsets: NDArray[np.int64],
    state: NDArray[np.int8],
    number: NDArray[np.int64],
    cut: NDArray[np.uint8],
    shared: list[_Shared],
) -> NDArray[np.bool_]:
    """Which entries belong to an object of parts that is matched at every side where a tile cuts it."""
    matched = np.zeros(len(state), np.uint8)
    for (i, j), s in zip(grid.pairs(), shared, strict=True):
        dy, dx = (getattr(grid.tiles[j], a) - getattr(grid.tiles[i], a) for a in ("row", "col"))
        ways = (1 * (dy < 0) | 2 * (dx < 0) | 4 * (dy > 0) | 8 * (dx > 0), 1 * (dy > 0) | 2 * (dx > 0) | 8 * (dx < 0))
        matched[s.first[s.agree]] |= np.uint8(ways[0])
        matched[s.second[s.agree]] |= np.uint8(ways[1])
    for index in range(len(grid.tiles)):  # where no tile was asked, none can disagree
        tile = grid.tiles[index]
        beyond = [(-1, 0), (0, -1), (1, 0), (0, 1)]
        alone = sum(1 << b for b, (dy, dx) in enumerate(beyond) if grid.at(tile.row + dy, tile.col + dx) is None)
        matched[offsets[index] : offsets[index + 1]] |= np.uint8(alone)
    loose = (state == PART) & ((cut & ~matched) > 0)
    bad = np.zeros(int(number.max(initial=0)) + 1, bool)
    bad[number[loose]] = True
    out: NDArray[np.bool_] = (state == PART) & ~bad[number]
    return out


def _drop_guests(
    state: NDArray[np.int8], area: NDArray[np.int64], core: NDArray[np.int64], shared: list[_Shared]
) -> None:
    """Leave out what lies mostly in a neighbour's core if the neighbour sees something else there."""
    guest = (state == WHOLE) & (2 * core < area)
    host = (state != DROPPED) & ~guest
    covered = np.zeros(len(state), np.int64)
    for s in shared:
        for own, other in ((s.first, s.second), (s.second, s.first)):
            counts = guest[own] & host[other]
            np.add.at(covered, own[counts], s.pixels[counts])
    state[guest & (covered >= _TAKEN * area)] = DROPPED


def _numbers(state: NDArray[np.int8], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers from 1 in the order of entries; linked parts get one."""
    n = len(state)
    graph = coo_array((np.ones(len(parts), bool), (parts[:, 0], parts[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    kept = np.flatnonzero(state != DROPPED)
    _, first, inverse = np.unique(component[kept], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(1, len(first) + 1)
    number = np.zeros(n, np.int64)
    number[kept] = rank[inverse]
    return number


def render_core(joined: Joined, source: TileSource, index: int) -> NDArray[np.int64]:
    """Numbers of the objects in the core of a tile, (h, w) label pixels.

    A tile's own objects come first; where it has none, those of its neighbours that reach in.
    """
    grid = joined.grid
    tile = grid.tiles[index]
    core = to_label_pixels(tile.core, tile.factor)
    out = _lut(joined, index, (WHOLE, PART))[source.labels(tile)[tile.core_slices]]
    for other in grid.neighbours(index):
        reach = _reaching(joined, other, core)
        if reach.any():
            _fill(out, core, grid, source, (tile, grid.tiles[other]), np.where(reach, _lut(joined, other, (WHOLE,)), 0))
    return out


def _lut(joined: Joined, index: int, states: tuple[int, ...]) -> NDArray[np.int64]:
    """Number of each local id of a tile, 0 for those that are not drawn."""
    own = joined.of_tile(index)
    number = np.where(np.isin(joined.state[own], states), joined.number[own], 0)
    return np.concatenate(([0], number))


def _reaching(joined: Joined, index: int, box: Box) -> NDArray[np.bool_]:
    """Which local ids of a tile may have pixels in a box; the first stands for background."""
    return np.concatenate(([False], _meets(joined.boxes[joined.of_tile(index)], box)))


def _fill(
    out: NDArray[np.int64],
    core: Box,
    grid: TileGrid,
    source: TileSource,
    tiles: tuple[Tile, Tile],
    lut: NDArray[np.int64],
) -> None:
    """Draw what reaches in from a neighbour where there is nothing yet."""
    tile, other = tiles
    if not lut.any():
        return
    if other.row == tile.row:
        side = "right" if other.col < tile.col else "left"
    else:
        side = "bottom" if other.row < tile.row else "top"
    box = strip_box(other, side, grid.rim)
    both = core.intersection(box)
    if both.is_empty:
        return
    here = out[both[0] - core[0] : both[2] - core[0], both[1] - core[1] : both[3] - core[1]]
    found = lut[_cut_out(source.strip(other, side), box, both)]
    np.copyto(here, found, where=here == 0)


def _cut_out(labels: NDArray[np.int32], frame: Box, box: Box) -> NDArray[np.int32]:
    """A box out of an array that covers `frame`."""
    return labels[box[0] - frame[0] : box[2] - frame[0], box[1] - frame[1] : box[3] - frame[1]]
