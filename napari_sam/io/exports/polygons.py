"""Polygons as lists of corners: their area, where they touch themselves, and fewer corners."""

from __future__ import annotations

Ring = list[tuple[float, float]]
Polygon = list[Ring]


def simple_rings(ring: Ring) -> list[Ring]:
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
        As `Outlines.lists` returns them.
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
