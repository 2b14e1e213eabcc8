"""Outlines of pixels as polygons along the pixels' edges, so that a polygon's area is the number of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_sam.io.pixel_runs import PixelRuns

Ring = list[tuple[int, int]]
Polygon = list[Ring]


def polygons_of(runs: PixelRuns) -> list[Polygon]:
    """Polygons of an object: one for each of its pieces, with its holes.

    Pixels that only touch at a corner are different pieces, and no ring meets itself, as the OGC's simple features
    want it.

    Parameters
    ----------
    runs : PixelRuns
        Along the rows, in order.

    Returns
    -------
    list of list of list of (int, int)
        Each polygon is its outer ring, then its holes. A ring is a list of corners (x, y), of which none lies on a
        straight line, and the first is not repeated. Pixel (row, column) covers x from column to column + 1 and y
        from row to row + 1. In a frame with x to the right and y upwards outer rings run counterclockwise and holes
        clockwise.

    Examples
    --------
    >>> from napari_sam.io.pixel_runs import PixelRuns
    >>> polygons_of(PixelRuns(*np.array([[5], [7], [9]])))  # columns 7 and 8 of row 5
    [[[(9, 5), (9, 6), (7, 6), (7, 5)]]]
    """
    if not len(runs.line):
        return []
    follows = _links(runs)
    pieces = _pieces(runs)
    x = np.concatenate((runs.start, runs.stop)).tolist()  # edge i: left side of run i; edge R + i: its right side
    lines = runs.line.tolist()
    count = len(lines)
    open_edges = [True] * (2 * count)
    polygons: dict[int, list[Ring]] = {}
    for first in range(count, 2 * count):  # every ring has a right side
        if not open_edges[first]:
            continue
        ring: Ring = []
        edge = first
        while open_edges[edge]:
            open_edges[edge] = False
            after = follows[edge]
            if x[after] != x[edge]:
                y = lines[edge - count] + 1 if edge >= count else lines[edge]
                ring += [(x[edge], y), (x[after], y)]
            edge = after
        ring.insert(0, ring.pop())  # begin at the top right
        rings = polygons.setdefault(pieces[first - count], [])
        for simple in _simple(ring):
            if _doubled_area(simple) > 0:
                rings.insert(0, simple)
            else:
                rings.append(simple)
    return list(polygons.values())


def _links(runs: PixelRuns) -> list[int]:
    """Which side of a run an outline goes to after each: it goes down right sides and up left ones.

    On the line between two rows, the ends of the sides above and below, sorted by x, belong together in pairs: the
    outline lies between the two of each pair. Where four meet in a corner, right sides come first, so that an outline
    stays with its pixel and does not cross to the one that touches it at the corner.
    """
    count = len(runs.line)
    side = np.repeat([0, 1], count)
    edge = np.arange(2 * count)
    x = np.concatenate((runs.start, runs.stop))
    line = np.concatenate((runs.line, runs.line))
    y = np.concatenate((line, line + 1))  # top ends, then bottom ends
    key = np.stack([y - y.min(), np.tile(x - x.min(), 2), np.tile(1 - side, 2)])
    span = int(key[1].max()) + 1
    order = np.argsort((key[0] * span + key[1]) * 2 + key[2], kind="stable")
    partner = np.empty(4 * count, np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    leaves = np.where(side == 1, edge + 2 * count, edge)
    follows: list[int] = (partner[leaves] % (2 * count)).tolist()
    return follows


def _pieces(runs: PixelRuns) -> list[int]:
    """A number for the piece of each run; runs of neighbouring rows that share an edge are of one piece."""
    lines = np.unique(runs.line)
    if len(lines) == len(runs.line):
        touching = (lines[1:] == lines[:-1] + 1) & (runs.start[1:] < runs.stop[:-1]) & (runs.stop[1:] > runs.start[:-1])
        chain: list[int] = np.append(0, np.cumsum(~touching)).tolist()
        return chain
    from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    # A run meets the runs of the row before from the first that ends after its start to the last that starts
    # before its end. Both are found by one search in all rows laid behind one another.
    span = int(runs.stop.max()) + 1
    row = np.searchsorted(lines, runs.line)
    has_before = np.append(False, lines[1:] == lines[:-1] + 1)[row]
    base = runs.line * span
    low = np.searchsorted(base + runs.stop, base - span + runs.start, side="right")
    high = np.searchsorted(base + runs.start, base - span + runs.stop, side="left")
    met = np.where(has_before, np.maximum(high - low, 0), 0)
    this = np.repeat(np.arange(len(runs.line)), met)
    other = np.arange(len(this)) - np.repeat(np.cumsum(met) - met, met) + np.repeat(low, met)
    size = len(runs.line)
    graph = coo_array((np.ones(len(this), bool), (this, other)), shape=(size, size))
    pieces: list[int] = connected_components(graph, directed=False)[1].tolist()
    return pieces


def _simple(ring: Ring) -> list[Ring]:
    """Cut a ring where it meets itself."""
    if len(set(ring)) == len(ring):
        return [ring]
    done: list[Ring] = []
    path: Ring = []
    place: dict[tuple[int, int], int] = {}
    for corner in ring:
        if corner in place:
            at = place[corner]
            done.append(path[at:])
            for gone in path[at + 1 :]:
                del place[gone]
            del path[at + 1 :]
        else:
            place[corner] = len(path)
            path.append(corner)
    return [*done, path]


def _doubled_area(ring: Ring) -> int:
    """Twice the area, negative if the ring runs clockwise."""
    total = 0
    x0, y0 = ring[-1]
    for x1, y1 in ring:
        total += x0 * y1 - x1 * y0
        x0, y0 = x1, y1
    return total
