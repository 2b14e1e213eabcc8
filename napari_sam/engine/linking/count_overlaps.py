"""Measure the objects of planes and their overlaps block by block, however large the planes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.linking.plane_objects import PlaneObjects, PlaneOverlap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class OverlapCounter:
    """Counts the pixels that objects of two planes share.

    Parameters
    ----------
    first_labels, second_labels : ndarray of int64
        Ids of the objects of each plane, ascending.
    """

    def __init__(self, first_labels: NDArray[np.int64], second_labels: NDArray[np.int64]) -> None:
        self._first, self._second = first_labels, second_labels
        self._counts: dict[int, int] = {}

    def add(self, first: NDArray[np.integer], second: NDArray[np.integer]) -> None:
        """Count a block of both planes, (h, w) ids of the same pixels; 0 is background."""
        both = (first > 0) & (second > 0)
        if not both.any():
            return
        keys = np.searchsorted(self._first, first[both]) * len(self._second)
        keys += np.searchsorted(self._second, second[both])
        for key, pixels in zip(*(a.tolist() for a in np.unique(keys, return_counts=True)), strict=True):
            self._counts[key] = self._counts.get(key, 0) + pixels

    def result(self, first_plane: int, second_plane: int) -> PlaneOverlap:
        """Return the pairs, in the order of their objects."""
        keys = np.array(sorted(self._counts), np.int64)
        pixels = np.array([self._counts[key] for key in keys.tolist()], np.int64)
        first, second = np.divmod(keys, max(len(self._second), 1))
        return PlaneOverlap(first_plane, second_plane, first, second, pixels)


class ObjectExtents:
    """Area, position and bounding box of each object of a plane.

    Parameters
    ----------
    labels : ndarray of int64
        Ids of the objects, ascending.

    Attributes
    ----------
    area : ndarray of int64
        (n,) pixels.
    """

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self._labels = labels
        self.area = np.zeros(len(labels), np.int64)
        self._sum = np.zeros((len(labels), 2), np.float64)
        self._low = np.full((len(labels), 2), np.iinfo(np.int64).max)
        self._high = np.zeros((len(labels), 2), np.int64)

    def add(self, block: NDArray[np.integer], origin: Sequence[int]) -> None:
        """Add a block (h, w) of ids whose first pixel is `origin` (y, x)."""
        y, x = np.nonzero(block)
        index = np.searchsorted(self._labels, block[y, x])
        self.area += np.bincount(index, minlength=len(self._labels))
        for axis, pixels in enumerate((y, x)):
            position = pixels + int(origin[axis])
            self._sum[:, axis] += np.bincount(index, position, len(self._labels))
            np.minimum.at(self._low[:, axis], index, position)
            np.maximum.at(self._high[:, axis], index, position + 1)

    def table(self, plane: int, score: NDArray[np.float32]) -> PlaneObjects:
        """Return the table of the objects, given their scores (n,)."""
        centroid = self._sum / np.maximum(self.area, 1)[:, None]
        boxes = np.concatenate([self._low, self._high], axis=1)
        return PlaneObjects(plane, self._labels, self.area, centroid, boxes, score)
