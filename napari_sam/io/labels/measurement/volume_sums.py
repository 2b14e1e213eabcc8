"""Sums over the voxels of many objects, taken plane by plane, from which volumes and shapes are computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.io.labels.measurement.properties import INTENSITY
from napari_sam.io.surface_area import DIRECTIONS, crossings, surface_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]
    Spacing = tuple[float, float, float]

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # of the second moments, by axes z, y, x


class VolumeSums:
    """Volume, extent, moments and surface of objects, from parts of planes in any order.

    Parameters
    ----------
    centres : ndarray of float64
        (N, 3) some point (z, y, x) in or near each object; moments around it lose no digits.
    """

    def __init__(self, centres: NDArray[np.float64]) -> None:
        count = len(centres)
        self._centres, self._count = centres, count
        self.voxels = np.zeros(count, np.int64)
        self._first, self._second = np.zeros((3, count)), np.zeros((len(_PAIRS), count))
        self._low, self._high = np.full((3, count), np.iinfo(np.int64).max), np.full((3, count), -1)
        self._crossings = np.zeros((len(DIRECTIONS), count), np.int64)

    def add(
        self, current: NDArray[np.int32], following: NDArray[np.int32], origin: tuple[int, int, int]
    ) -> NDArray[np.int32]:
        """Add a part of a plane.

        Parameters
        ----------
        current, following : ndarray of int32
            (h + 2, w + 2) objects of the part and of the same part of the next plane, numbered from 1, with a margin of
            one voxel; 0 outside the image.
        origin : (int, int, int)
            (z, y, x) of the part's first voxel.

        Returns
        -------
        ndarray of int32
            (h, w) the part without its margin.
        """
        self._crossings += crossings(current, following, self._count)
        part = current[1:-1, 1:-1]
        y, x = np.nonzero(part)
        index = part[y, x] - 1
        if not len(index):
            return part
        counts = np.bincount(index, minlength=self._count)
        self.voxels += counts
        position = (np.full(len(y), origin[0]), y + origin[1], x + origin[2])
        offsets = [p - self._centres[index, axis] for axis, p in enumerate(position)]
        for axis, offset in enumerate(offsets):
            self._first[axis] += np.bincount(index, offset, self._count)
            np.minimum.at(self._low[axis], index, position[axis])
            np.maximum.at(self._high[axis], index, position[axis])
        for k, (a, b) in enumerate(_PAIRS):
            self._second[k] += np.bincount(index, offsets[a] * offsets[b], self._count)
        return part

    def boxes(self) -> NDArray[np.int64]:
        """Return (N, 6) z0, y0, x0, z1, y1, x1, half-open."""
        return np.concatenate([self._low, self._high + 1]).T

    def centroids(self) -> NDArray[np.float64]:
        """Return (N, 3) mean positions (z, y, x) in voxels."""
        return self._centres + (self._first / np.maximum(self.voxels, 1)).T

    def surfaces(self, spacing: Spacing) -> NDArray[np.float64]:
        """Return (N,) surface areas, in the square of the unit of `spacing`."""
        areas: NDArray[np.float64] = surface_weights(spacing) @ self._crossings
        return areas

    def axis_lengths(self, spacing: Spacing) -> NDArray[np.float64]:
        """Return (N, 3) lengths of the axes of the ellipsoid with the same second moments, longest first.

        An ellipsoid's variance along an axis is a fifth of the square of its half; half a voxel belongs to each side,
        as in scikit-image, so that a plane of voxels is not flat.
        """
        n = np.maximum(self.voxels, 1)
        mean = self._first / n
        covariance = np.zeros((self._count, 3, 3))
        for k, (a, b) in enumerate(_PAIRS):
            value = (self._second[k] / n - mean[a] * mean[b] + (a == b) / 12) * spacing[a] * spacing[b]
            covariance[:, a, b] = covariance[:, b, a] = value
        variances = np.linalg.eigvalsh(covariance)[:, ::-1]
        return np.asarray(2 * np.sqrt(5 * np.maximum(variances, 0)))

    def shapes(self, spacing: Spacing) -> Columns:
        """Return volume, surface and what follows from them, by name without unit."""
        volume, surface = self.voxels * math.prod(spacing), self.surfaces(spacing)
        with np.errstate(divide="ignore", invalid="ignore"):
            sphericity = np.cbrt(math.pi) * np.cbrt(6 * volume) ** 2 / surface
        lengths = self.axis_lengths(spacing)
        return {
            "volume": volume,
            "surface": surface,
            "equivalent_diameter": np.cbrt(6 * volume / math.pi),
            "axis_major": lengths[:, 0],
            "axis_middle": lengths[:, 1],
            "axis_minor": lengths[:, 2],
            "sphericity": sphericity,
        }


class IntensitySums:
    """Mean, extremes and standard deviation of the values of many objects, from parts in any order."""

    def __init__(self, count: int) -> None:
        self._count = np.zeros(count, np.int64)
        self._mean, self._squares = np.zeros(count), np.zeros(count)
        self._low, self._high = np.full(count, np.inf), np.full(count, -np.inf)

    def add(self, index: NDArray[np.integer], values: NDArray[np.generic]) -> None:
        """Add values (V,) of the objects `index` (V,), from 0; as `RunningStatistics`, for all objects at once."""
        if not len(index):
            return
        numbers, size = values.astype(np.float64), len(self._count)
        counts = np.bincount(index, minlength=size)
        mean = np.bincount(index, numbers, size) / np.maximum(counts, 1)
        squares = np.bincount(index, (numbers - mean[index]) ** 2, size)
        total = np.maximum(self._count + counts, 1)
        difference = np.where(counts > 0, mean - self._mean, 0.0)
        self._squares += squares + difference**2 * self._count * counts / total
        self._mean += difference * counts / total
        self._count += counts
        np.minimum.at(self._low, index, numbers)
        np.maximum.at(self._high, index, numbers)

    def columns(self) -> Columns:
        """Return the statistics by property; NaN for objects without a value."""
        missing = self._count == 0
        deviation = np.sqrt(self._squares / np.maximum(self._count, 1))
        values = (self._mean, self._low, self._high, deviation)
        return {name: np.where(missing, math.nan, v) for name, v in zip(INTENSITY, values, strict=True)}
