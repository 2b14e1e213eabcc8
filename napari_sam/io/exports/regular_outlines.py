"""Outlines with right angles, as buildings have them.

The method is a short form of that of Zhang, Yan and Chen ("Automatic construction of building footprints from airborne
LIDAR data", IEEE Transactions on Geoscience and Remote Sensing 44 (9), 2006, pages 2523 to 2533): edges of the
simplified outline are turned to its main direction or across it, and short edges disappear. The main direction is the
mean of axial data with four axes, that is, of angles multiplied by four (Mardia and Jupp, *Directional Statistics*,
2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.exports.polygons import simplify_polygons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.exports.polygons import Polygon, Ring

_MOST_DEVIATION = 2.0  # of an outline with right angles from the pixels' edges, in tolerances
_LEAST_EDGES = 4


@dataclass
class _Line:
    """A line along an axis: all of its points have `position` along axis `across` (0 for x, 1 for y)."""

    across: int
    position: float
    weight: float

    def merged(self, other: _Line) -> _Line:
        """Return one line in place of two."""
        weight = self.weight + other.weight
        position = (self.position * self.weight + other.position * other.weight) / weight
        return _Line(self.across, position, weight)


def regularise_polygons(polygons: list[Polygon], tolerance_px: float) -> list[Polygon]:
    """Return polygons whose outlines have right angles.

    Parameters
    ----------
    polygons : list of Polygon
        As `Outlines.lists` returns them.
    tolerance_px : float
        Edges shorter than this disappear.

    Returns
    -------
    list of Polygon
        Valid polygons. A polygon that cannot be followed by right angles up to twice the tolerance, such as a round
        one, is only simplified (`simplify_polygons`).

    Examples
    --------
    >>> notched = [[[(9, 0), (9, 6), (5, 6), (5, 5), (4, 5), (4, 6), (0, 6), (0, 0)]]]
    >>> [[(round(x), round(y)) for x, y in ring] for ring in regularise_polygons(notched, 2.0)[0]]
    [[(9, 6), (0, 6), (0, 0), (9, 0)]]
    """
    return [_regular_polygon(polygon, tolerance_px) for polygon in polygons]


def _regular_polygon(polygon: Polygon, tolerance_px: float) -> Polygon:
    import shapely  # noqa: PLC0415 - slow to import

    (simple,) = simplify_polygons([polygon], tolerance_px)
    angle = main_direction(simple[0])
    rings = [regular_ring(ring, angle, tolerance_px) for ring in simple]
    if rings[0] is None:
        return simple
    exact = shapely.Polygon(polygon[0], polygon[1:])
    shape = shapely.Polygon(rings[0], [ring or kept for ring, kept in zip(rings[1:], simple[1:], strict=True)])
    if (
        not shape.is_valid
        or shapely.hausdorff_distance(shape.boundary, exact.boundary) > _MOST_DEVIATION * tolerance_px
    ):
        return simple
    shape = shapely.geometry.polygon.orient(shape)
    return [list(ring.coords)[:-1] for ring in (shape.exterior, *shape.interiors)]


def main_direction(ring: Ring) -> float:
    """Return the angle from the x axis, in radians, to which most of an outline is parallel or perpendicular.

    >>> round(math.degrees(main_direction([(0, 0), (8, 6), (5, 10), (-3, 4)])), 1)  # a rectangle on a slope of 3 : 4
    36.9
    """
    edges = _edges(np.array(ring, float))
    angles, squares = 4 * np.arctan2(edges[:, 1], edges[:, 0]), (edges**2).sum(1)  # long edges are the exact ones
    return math.atan2(float((squares * np.sin(angles)).sum()), float((squares * np.cos(angles)).sum())) / 4


def regular_ring(ring: Ring, angle: float, tolerance_px: float) -> Ring | None:
    """Return a ring whose edges are parallel or perpendicular to a direction; None if it is too small for one.

    Parameters
    ----------
    ring : Ring
        Corners (x, y).
    angle : float
        The direction, radians from the x axis.
    tolerance_px : float
        Shortest edge.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    lines = _without_short_edges(_alternating_lines(np.array(ring, float) @ turn), tolerance_px)
    if len(lines) < _LEAST_EDGES or any(_length(lines, i) < tolerance_px for i in range(len(lines))):
        return None
    corners = []
    for line, following in zip(lines, [*lines[1:], lines[0]], strict=True):
        corner = np.zeros(2)
        corner[line.across], corner[following.across] = line.position, following.position
        corners.append(corner @ turn.T)
    return [(float(x), float(y)) for x, y in corners]


def _edges(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vector from each corner (n, 2) to the next one."""
    edges: NDArray[np.float64] = np.roll(points, -1, axis=0) - points
    return edges


def _alternating_lines(points: NDArray[np.float64]) -> list[_Line]:
    """Return lines along x and y in turn that follow a ring (n, 2); an even number of them, or none."""
    lines: list[_Line] = []
    for point, edge in zip(points, _edges(points), strict=True):
        across = 1 if abs(edge[0]) >= abs(edge[1]) else 0
        line = _Line(across, float(point[across] + edge[across] / 2), float(np.hypot(*edge)))
        if lines and lines[-1].across == across:
            _join(lines, line, point)
        else:
            lines.append(line)
    if len(lines) > 1 and lines[0].across == lines[-1].across:
        _join(lines, lines.pop(0), points[0])
    return lines if len(lines) % 2 == 0 else []


def _join(lines: list[_Line], line: _Line, corner: NDArray[np.float64]) -> None:
    """Add a line parallel to the last one, with a step between them at their common corner."""
    last = lines[-1]
    step = abs(line.position - last.position)
    lines += [_Line(1 - line.across, float(corner[1 - line.across]), step or 1e-9), line]


def _length(lines: list[_Line], index: int) -> float:
    """Return the length of an edge: the distance of the lines before and after it."""
    return abs(lines[(index + 1) % len(lines)].position - lines[index - 1].position)


def _without_short_edges(lines: list[_Line], shortest: float) -> list[_Line]:
    """Return lines of which none is shorter than `shortest`, unless only four are left; the shortest goes first."""
    lines = list(lines)
    while len(lines) > _LEAST_EDGES:
        lengths = [_length(lines, i) for i in range(len(lines))]
        index = int(np.argmin(lengths))
        if lengths[index] >= shortest:
            break
        lines = lines[index - 1 :] + lines[: index - 1] if index else lines[-1:] + lines[:-1]
        lines = [lines[0].merged(lines[2]), *lines[3:]]  # the line before the short one, and the one after it
    return lines
