"""Objects of planes as tables: what linking knows of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.number_components import number_components

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PlaneObjects:
    """Objects of one plane; the arrays have one entry for each.

    Attributes
    ----------
    plane : int
        Index along the axis that is followed.
    labels : ndarray of int64
        (n,) ids in the plane, ascending.
    area : ndarray of int64
        (n,) pixels.
    centroid : ndarray of float64
        (n, 2) y, x, level-0 pixels.
    boxes : ndarray of int64
        (n, 4) y0, x0, y1, x1, half-open, level-0 pixels.
    score : ndarray of float32
        (n,) predicted IoU.
    """

    plane: int
    labels: NDArray[np.int64]
    area: NDArray[np.int64]
    centroid: NDArray[np.float64]
    boxes: NDArray[np.int64]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class PlaneOverlap:
    """Pairs of objects of two planes that share pixels, as indices into their tables.

    Attributes
    ----------
    first_plane, second_plane : int
        The planes, the earlier one first.
    first, second : ndarray of int64
        (m,) index of each object in its plane's table.
    pixels : ndarray of int64
        (m,) shared pixels.
    """

    first_plane: int
    second_plane: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    pixels: NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """Which objects of all planes are one object.

    Attributes
    ----------
    numbers : dict of int to ndarray of int64
        By plane, (n,) the number of each object of its table, from 1; 0 for objects that are left out.
    parents : dict of int to int
        Number of the parent of each object that came from a division.
    """

    numbers: dict[int, NDArray[np.int64]]
    parents: dict[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of linked objects."""
        return max((int(n.max(initial=0)) for n in self.numbers.values()), default=0)

    @property
    def gaps(self) -> int:
        """Number of missing planes inside linked objects, of the planes that could be segmented."""
        order = sorted(self.numbers)
        first = np.full(self.count + 1, len(order))
        last, present = np.full(self.count + 1, -1), np.zeros(self.count + 1, np.int64)
        for position, plane in enumerate(order):
            numbers = np.unique(self.numbers[plane])
            first[numbers] = np.minimum(first[numbers], position)
            last[numbers] = position
            present[numbers] += 1
        return int((last - first + 1 - present)[1:].sum())


class NodeTable:
    """All objects of all planes as nodes, counted through the planes in their order.

    Parameters
    ----------
    objects : sequence of PlaneObjects
        One table for each plane, in any order.
    """

    def __init__(self, objects: Sequence[PlaneObjects]) -> None:
        self.objects = sorted(objects, key=lambda table: table.plane)
        self.planes = [table.plane for table in self.objects]
        self._position = {plane: i for i, plane in enumerate(self.planes)}
        self.offsets = np.cumsum([0, *(len(table) for table in self.objects)])
        self.count = int(self.offsets[-1])
        self.area = _joined([table.area for table in self.objects])
        self.plane = np.repeat(np.array(self.planes, np.int64), np.diff(self.offsets))
        self.position = np.repeat(np.arange(len(self.planes)), np.diff(self.offsets))

    @property
    def centroid(self) -> NDArray[np.float64]:
        """(count, 2) y, x of each node, level-0 pixels."""
        return np.concatenate([np.zeros((0, 2)), *(table.centroid for table in self.objects)])

    def nodes(self, plane: int, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the nodes of some objects of a plane."""
        offset = int(self.offsets[self._position[plane]])
        return index + offset

    def pairs(self, overlaps: Iterable[PlaneOverlap]) -> OverlapPairs:
        """Return the pairs of nodes that share pixels; overlaps of unknown planes are an error."""
        parts = [(self.nodes(o.first_plane, o.first), self.nodes(o.second_plane, o.second), o.pixels) for o in overlaps]
        first, second, pixels = (_joined([part[k] for part in parts]) for k in range(3))
        return OverlapPairs(self, first, second, pixels)

    def links(self, edges: NDArray[np.int64], smallest: int, parents: Iterable[tuple[int, int]] = ()) -> Links:
        """Number the connected nodes from 1 in the order of their first node.

        Parameters
        ----------
        edges : ndarray of int64
            (m, 2) linked nodes.
        smallest : int
            Objects in fewer planes are left out, unless they are part of a lineage.
        parents : iterable of (int, int)
            Pairs of a child's and its parent's node.
        """
        lineage = list(parents)
        number = number_components(self.count, edges)
        planes = np.zeros(int(number.max(initial=0)) + 1, np.int64)
        np.add.at(planes, np.unique(np.stack([number, self.plane]), axis=1)[0], 1)
        kept = planes >= smallest
        kept[[number[node] for pair in lineage for node in pair]] = True
        kept[0] = False
        renumbered = np.where(kept, np.cumsum(kept), 0)
        number = renumbered[number]
        numbers = {p: number[self.offsets[i] : self.offsets[i + 1]] for i, p in enumerate(self.planes)}
        return Links(numbers, {int(number[child]): int(number[parent]) for child, parent in lineage})


@dataclass(frozen=True)
class OverlapPairs:
    """Pairs of nodes that share pixels."""

    nodes: NodeTable
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    pixels: NDArray[np.int64]

    @property
    def gap(self) -> NDArray[np.int64]:
        """(m,) number of segmented planes between the two nodes of each pair."""
        return self.nodes.position[self.second] - self.nodes.position[self.first] - 1

    def iou(self) -> NDArray[np.float64]:
        """(m,) intersection over union of each pair."""
        area = self.nodes.area
        union = np.maximum(area[self.first] + area[self.second] - self.pixels, 1)
        iou: NDArray[np.float64] = self.pixels.astype(np.float64) / union
        return iou

    def covered(self) -> NDArray[np.float64]:
        """(m,) share of the smaller object of each pair that the other covers."""
        area = self.nodes.area
        smaller = np.maximum(np.minimum(area[self.first], area[self.second]), 1)
        share: NDArray[np.float64] = self.pixels.astype(np.float64) / smaller
        return share


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *parts])
