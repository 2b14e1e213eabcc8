"""Outlines of objects as polygons along the pixels' edges, so that a polygon's area is its number of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_sam.io.pixel_runs import PixelRuns

Ring = list[tuple[float, float]]
Polygon = list[Ring]


def polygons_of(runs: PixelRuns) -> list[Polygon]:
    """Return the polygons of an object: one for each connected piece, with its holes.

    Pixels that touch only at a corner belong to different pieces, and no ring touches itself, as the simple features
    of the OGC require.

    Parameters
    ----------
    runs : PixelRuns
        Pixels of the object along the rows, in order.

    Returns
    -------
    list of Polygon
        Each polygon is its outer ring followed by its holes. A ring is a list of corners (x, y) without points on a
        straight line; the first corner is not repeated. Pixel (row, column) covers x from column to column + 1 and y
        from row to row + 1. With x to the right and y upwards, outer rings run counterclockwise and holes clockwise.

    Examples
    --------
    >>> from napari_sam.io.pixel_runs import PixelRuns
    >>> polygons_of(PixelRuns(*np.array([[5], [7], [9]])))  # columns 7 and 8 of row 5
    [[[(9, 5), (9, 6), (7, 6), (7, 5)]]]
    """
    if not len(runs.line):
        return []
    successors = _successors(runs)
    pieces = _pieces(runs)
    x = np.concatenate((runs.start, runs.stop)).tolist()  # edge i: left side of run i; edge R + i: its right side
    lines = runs.line.tolist()
    count = len(lines)
    unvisited = [True] * (2 * count)
    polygons: dict[int, list[Ring]] = {}
    for first in range(count, 2 * count):  # every ring has a right side
        if not unvisited[first]:
            continue
        ring: Ring = []
        edge = first
        while unvisited[edge]:
            unvisited[edge] = False
            successor = successors[edge]
            if x[successor] != x[edge]:
                y = lines[edge - count] + 1 if edge >= count else lines[edge]
                ring += [(x[edge], y), (x[successor], y)]
            edge = successor
        ring.insert(0, ring.pop())  # start at the top right
        rings = polygons.setdefault(pieces[first - count], [])
        for simple in _simple_rings(ring):
            if doubled_area(simple) > 0:
                rings.insert(0, simple)
            else:
                rings.append(simple)
    return list(polygons.values())


def _successors(runs: PixelRuns) -> list[int]:
    """Return the edge that follows each edge of a run on its outline, which runs down right edges and up left edges.

    On the line between two rows, the ends of the edges above and below, sorted by x, form pairs: the outline connects
    the two ends of each pair. Where four ends meet in a corner, right edges come first, so that an outline stays with
    its pixel and does not cross to the pixel that touches it at the corner.
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
    successors: list[int] = (partner[leaves] % (2 * count)).tolist()
    return successors


def _pieces(runs: PixelRuns) -> list[int]:
    """Return the number of the piece of each run; runs of neighbouring rows that share an edge are connected."""
    lines = np.unique(runs.line)
    if len(lines) == len(runs.line):
        touching = (lines[1:] == lines[:-1] + 1) & (runs.start[1:] < runs.stop[:-1]) & (runs.stop[1:] > runs.start[:-1])
        chain: list[int] = np.append(0, np.cumsum(~touching)).tolist()
        return chain
    from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    # A run touches the runs of the previous row from the first that ends after its start to the last that starts
    # before its end. Both are found by one search in the concatenation of all rows.
    span = int(runs.stop.max()) + 1
    row = np.searchsorted(lines, runs.line)
    has_previous = np.append(False, lines[1:] == lines[:-1] + 1)[row]
    base = runs.line * span
    low = np.searchsorted(base + runs.stop, base - span + runs.start, side="right")
    high = np.searchsorted(base + runs.start, base - span + runs.stop, side="left")
    touched = np.where(has_previous, np.maximum(high - low, 0), 0)
    run = np.repeat(np.arange(len(runs.line)), touched)
    neighbour = np.arange(len(run)) - np.repeat(np.cumsum(touched) - touched, touched) + np.repeat(low, touched)
    size = len(runs.line)
    graph = coo_array((np.ones(len(run), bool), (run, neighbour)), shape=(size, size))
    pieces: list[int] = connected_components(graph, directed=False)[1].tolist()
    return pieces


def _simple_rings(ring: Ring) -> list[Ring]:
    """Cut a ring where it touches itself."""
    if len(set(ring)) == len(ring):
        return [ring]
    rings: list[Ring] = []
    path: Ring = []
    positions: dict[tuple[float, float], int] = {}
    for corner in ring:
        if corner in positions:
            start = positions[corner]
            rings.append(path[start:])
            for removed in path[start + 1 :]:
                del positions[removed]
            del path[start + 1 :]
        else:
            positions[corner] = len(path)
            path.append(corner)
    return [*rings, path]


def doubled_area(ring: Ring) -> float:
    """Return twice the area of a ring, negative if it runs clockwise."""
    total = 0.0
    x0, y0 = ring[-1]
    for x1, y1 in ring:
        total += x0 * y1 - x1 * y0
        x0, y0 = x1, y1
    return total


def simplify_polygons(polygons: list[Polygon], tolerance_px: float) -> list[Polygon]:
    """Return polygons with fewer corners.

    Each polygon stays valid and keeps its holes. Objects that touch are simplified one by one, so that gaps and
    overlaps of up to twice the tolerance may arise between them.

    Parameters
    ----------
    polygons : list of Polygon
        As `polygons_of` returns them.
    tolerance_px : float
        Largest distance between the old outline and the new one.

    Examples
    --------
    >>> stairs = [[[(0, 0), (3, 0), (3, 1), (2, 1), (2, 2), (1, 2), (1, 3), (0, 3)]]]
    >>> simplify_polygons(stairs, 1.0)
    [[[(0.0, 0.0), (3.0, 0.0), (3.0, 1.0), (0.0, 3.0)]]]
    """
    import shapely  # noqa: PLC0415 - slow to import

    simplified: list[Polygon] = []
    for outer, *holes in polygons:
        shape = shapely.simplify(shapely.Polygon(outer, holes), tolerance_px, preserve_topology=True)
        if shape.is_empty or not shape.is_valid:
            simplified.append([outer, *holes])
        else:
            shape = shapely.geometry.polygon.orient(shape)
            simplified.append([list(ring.coords)[:-1] for ring in (shape.exterior, *shape.interiors)])
    return simplified
