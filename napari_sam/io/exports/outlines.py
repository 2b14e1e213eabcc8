"""Outlines of many objects at once, as arrays: corners, and the rings, polygons and objects that they form."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from napari_sam.io.exports.polygons import doubled_area, simple_rings
from napari_sam.io.pixel_runs import PixelRuns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.exports.polygons import Polygon, Ring

    Integers = NDArray[np.int64]
    Corners = NDArray[np.int64] | NDArray[np.float64]

Item = TypeVar("Item")


class Outlines(NamedTuple):
    """Polygons of several objects.

    Attributes
    ----------
    corners : ndarray
        (N, 2) corners (x, y) of all rings; the first corner of a ring is not repeated.
    rings : ndarray of int64
        (R + 1,) index of each ring's first corner, and N.
    polygons : ndarray of int64
        (P + 1,) index of each polygon's first ring, which is its outer ring, and R.
    objects : ndarray of int64
        (K + 1,) index of each object's first polygon, and P.
    """

    corners: Corners
    rings: Integers
    polygons: Integers
    objects: Integers

    @classmethod
    def from_lists(cls, objects: Iterable[list[Polygon]] | Iterable[list[list[NDArray[np.float64]]]]) -> Outlines:
        """Return the outlines of objects whose polygons are lists.

        Examples
        --------
        >>> Outlines.from_lists([[[[(0, 0), (2, 0), (2, 2)]]]]).rings.tolist()
        [0, 3]
        """
        corners, rings, polygons, ends = [np.zeros((0, 2))], [0], [0], [0]
        for listed in objects:
            for polygon in listed:
                corners += [np.array(ring, float) for ring in polygon]
                rings += [len(ring) for ring in polygon]
                polygons.append(len(polygon))
            ends.append(len(listed))
        return cls(np.concatenate(corners), *(np.cumsum(np.array(n, np.int64)) for n in (rings, polygons, ends)))

    def lists(self, *, closed: bool = False) -> list[list[Polygon]]:
        """Return the polygons of each object as lists of corners.

        Parameters
        ----------
        closed : bool
            Whether to repeat the first corner of each ring at its end.
        """
        corners, rings = self.closed() if closed else (self.corners, self.rings)
        positions: Ring = list(map(tuple, corners.tolist()))
        return _grouped(_grouped(_grouped(positions, rings), self.polygons), self.objects)

    def closed(self) -> tuple[Corners, Integers]:
        """Return the (N + R, 2) corners of rings that end where they begin, and (R + 1,) where each begins."""
        order = np.insert(np.arange(len(self.corners)), self.rings[1:], self.rings[:-1])
        return self.corners[order], self.rings + np.arange(len(self.rings))

    def following(self) -> Integers:
        """Return (N,) the index of the corner that follows each corner on its ring."""
        order = np.arange(1, len(self.corners) + 1)
        order[self.rings[1:] - 1] = self.rings[:-1]
        return order

    def holes(self) -> NDArray[np.bool_]:
        """Return (R,) which rings are holes."""
        is_hole = np.ones(len(self.rings) - 1, bool)
        is_hole[self.polygons[:-1]] = False
        return is_hole


def _grouped(items: list[Item], starts: Integers) -> list[list[Item]]:
    return [items[first:last] for first, last in itertools.pairwise(starts.tolist())]


def trace_outlines(objects: Sequence[PixelRuns]) -> Outlines:
    """Return the outlines of objects along the pixels' edges, a polygon for each connected piece, with its holes.

    Pixels that touch only at a corner belong to different pieces, and no ring touches itself, as the simple features
    of the OGC require. Many objects at once take a fraction of the time of one after the other: they are traced as
    one image, in which they lie below each other with an empty row between them.

    Parameters
    ----------
    objects : sequence of PixelRuns
        Pixels of each object along the rows, in order.

    Returns
    -------
    Outlines
        Rings have no points on a straight line. Pixel (row, column) covers x from column to column + 1 and y from row
        to row + 1. With x to the right and y upwards, outer rings run counterclockwise and holes clockwise.

    Examples
    --------
    >>> trace_outlines([PixelRuns(*np.array([[5], [7], [9]]))]).lists()  # columns 7 and 8 of row 5
    [[[[(9, 5), (9, 6), (7, 6), (7, 5)]]]]
    """
    counts = np.array([len(runs.line) for runs in objects], np.int64)
    if not counts.sum():
        return Outlines.from_lists([[] for _ in objects])
    line, start, stop = (np.concatenate([runs[axis] for runs in objects]) for axis in range(3))
    first = np.cumsum(counts) - counts
    there = counts > 0  # the others have no runs
    top, left = np.zeros((2, len(objects)), np.int64)
    height = np.zeros(len(objects), np.int64)
    top[there], left[there] = line[first[there]], np.minimum.reduceat(start, first[there])
    height[there] = line[(first + counts - 1)[there]] - top[there] + 2  # with the empty row
    shift = np.repeat([left, top - np.cumsum(height) + height], counts, axis=1)  # x and y of each run
    runs = PixelRuns(line - shift[1], start - shift[0], stop - shift[0])
    outlines, first_run = _trace(runs)
    owner = np.repeat(np.arange(len(objects)), counts)[first_run]  # of each polygon
    ends = np.cumsum(np.bincount(owner, minlength=len(objects)))
    corners = np.repeat(shift[:, first_run], np.diff(outlines.rings[outlines.polygons]), axis=1).T + outlines.corners
    return outlines._replace(corners=corners, objects=np.append(0, ends))


def _trace(runs: PixelRuns) -> tuple[Outlines, Integers]:
    """Return the polygons of all runs, in the order of their first runs, and the first run of each."""
    count = len(runs.line)
    x = np.concatenate((runs.start, runs.stop))  # edge i: left side of run i; edge R + i: its right side
    successors, touching = _successors(runs, x)
    order, begins = _rings(successors, count)
    ring = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(order))))
    turns = np.flatnonzero(x[successors[order]] != x[order])
    edges = order[turns]
    y = np.where(edges >= count, runs.line[edges % count] + 1, runs.line[edges % count])
    corners = np.stack((np.stack((x[edges], x[successors[edges]]), 1).ravel(), np.repeat(y, 2)), 1)
    sizes = 2 * np.bincount(ring[turns], minlength=len(begins))
    rings = np.append(0, np.cumsum(sizes))
    previous = np.arange(len(corners)) - 1
    previous[rings[:-1]] = rings[1:] - 1
    corners = corners[previous]  # start at the top right

    ring_of_edge = np.empty(2 * count, np.int64)
    ring_of_edge[order] = ring
    split = np.unique(ring_of_edge[touching[0]][ring_of_edge[touching[0]] == ring_of_edge[touching[1]]])
    run_of_ring = order[begins] - count
    rings, parts = _split_rings(corners, rings, split)
    run_of_ring = np.repeat(run_of_ring, parts)
    return _by_piece(corners, rings, run_of_ring, _pieces(runs)[run_of_ring])


def _successors(runs: PixelRuns, x: Integers) -> tuple[Integers, Integers]:
    """Return the edge that follows each edge of a run on its outline, which runs down right edges and up left edges.

    On the line between two rows, the ends of the edges above and below, sorted by x, form pairs: the outline connects
    the two ends of each pair. Where four ends meet in a corner, right edges come first, so that an outline stays with
    its pixel and does not cross to the pixel that touches it at the corner.

    Also returns (2, T) pairs of edges that touch at a corner.
    """
    count = len(runs.line)
    is_right = np.repeat([0, 1], count)
    line = np.concatenate((runs.line, runs.line))
    y = np.concatenate((line, line + 1))  # top ends, then bottom ends
    point = y * (int(x.max()) + 1) + np.tile(x, 2)
    order = np.argsort(point * 2 + np.tile(1 - is_right, 2), kind="stable")
    partner = np.empty(4 * count, np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    leaves = np.where(is_right == 1, np.arange(2 * count) + 2 * count, np.arange(2 * count))
    last, following = order[1:-1:2], order[2::2]
    same = point[last] == point[following]
    return partner[leaves] % (2 * count), np.stack((last[same], following[same])) % (2 * count)


def _rings(successors: Integers, count: int) -> tuple[Integers, Integers]:
    """Return all edges, ring by ring, and the position of the first edge of each ring."""
    following: list[int] = successors.tolist()
    unvisited = [True] * len(following)
    order: list[int] = []
    begins: list[int] = []
    for first in range(count, 2 * count):  # every ring has a right side
        if unvisited[first]:
            begins.append(len(order))
            edge = first
            while unvisited[edge]:
                unvisited[edge] = False
                order.append(edge)
                edge = following[edge]
    return np.array(order, np.int64), np.array(begins, np.int64)


def _split_rings(corners: Integers, rings: Integers, split: Integers) -> tuple[Integers, Integers]:
    """Cut rings where they touch themselves, an outer ring before its holes; sorts their corners in place.

    Returns
    -------
    rings : ndarray of int64
        The first corner of each ring, with the new ones, and the number of corners.
    parts : ndarray of int64
        Number of rings that each ring became.
    """
    parts = np.ones(len(rings) - 1, np.int64)
    added = []
    for index in split.tolist():
        first, last = rings[index : index + 2].tolist()
        simple = simple_rings(list(map(tuple, corners[first:last].tolist())))
        simple.sort(key=lambda ring: doubled_area(ring) <= 0)
        corners[first:last] = [corner for ring in simple for corner in ring]
        added.append(first + np.cumsum([len(ring) for ring in simple[:-1]], dtype=np.int64))
        parts[index] = len(simple)
    return np.sort(np.concatenate((rings, *added))), parts


def _by_piece(corners: Integers, rings: Integers, run_of_ring: Integers, piece: Integers) -> tuple[Outlines, Integers]:
    """Return rings as polygons, one of each piece, and the first run of each polygon."""
    _, first, number = np.unique(piece, return_index=True, return_inverse=True)
    order = np.argsort(first[number], kind="stable")  # the first ring of a piece is its outer one
    sizes = np.diff(rings)[order]
    ends = np.cumsum(sizes)
    taken = np.arange(len(corners)) + np.repeat(rings[:-1][order] - ends + sizes, sizes)
    polygons = np.append(np.flatnonzero(np.diff(first[number][order], prepend=-1)), len(order))
    outlines = Outlines(corners[taken], np.append(0, ends), polygons, np.array([0, len(polygons) - 1]))
    return outlines, run_of_ring[np.sort(first)]


def _pieces(runs: PixelRuns) -> Integers:
    """Return the number of the piece of each run; runs of neighbouring rows that share an edge are connected."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    # A run touches the runs of the previous row from the first that ends after its start to the last that starts
    # before its end. Both are found by one search in the concatenation of all rows.
    lines, row = np.unique(runs.line, return_inverse=True)
    span = int(runs.stop.max()) + 1
    has_previous = np.append(False, lines[1:] == lines[:-1] + 1)[row]
    base = runs.line * span
    low = np.searchsorted(base + runs.stop, base - span + runs.start, side="right")
    high = np.searchsorted(base + runs.start, base - span + runs.stop, side="left")
    touched = np.where(has_previous, np.maximum(high - low, 0), 0)
    run = np.repeat(np.arange(len(runs.line)), touched)
    neighbour = np.arange(len(run)) - np.repeat(np.cumsum(touched) - touched, touched) + np.repeat(low, touched)
    size = len(runs.line)
    graph = coo_array((np.ones(len(run), bool), (run, neighbour)), shape=(size, size))
    pieces: Integers = connected_components(graph, directed=False)[1].astype(np.int64)
    return pieces
