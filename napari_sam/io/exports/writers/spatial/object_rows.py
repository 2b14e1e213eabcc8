"""Measurements and records of objects, a row for each object, also where it lies on several planes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.exports.object_measurements import ObjectMeasurements, centroid
from napari_sam.io.geo.units import unit_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportedObject
    from napari_sam.io.exports.writers.spatial.coordinate_system import CoordinateSystem
    from napari_sam.io.pixel_runs import PixelRuns

    Pairs = Iterable[tuple[ExportedObject, PixelRuns]]

_PLANE_CENTROID = ("centroid_y_px", "centroid_x_px")
_VOLUME_NAMES = ("voxels", "z0", "y0", "x0", "z1", "y1", "x1", "centroid_z_px", *_PLANE_CENTROID)


@dataclass(frozen=True)
class ObjectRows:
    """What is known of n objects, by ascending id.

    Attributes
    ----------
    labels : ndarray of int64
        (n,) ids.
    names : tuple of str
        Names of the k measurements.
    values : ndarray of float64
        (n, k) measurements.
    positions : ndarray of float64
        (n, 2) or (n, 3) centroids in the coordinate system, in the order x, y, z.
    categories, models : list of str or None
        Class, and the model that segmented it.
    predicted_iou, stability_score : ndarray of float64
        (n,) scores; NaN without one, the lowest of all planes.
    created : list of str
        Time of creation, as ISO 8601 writes it.
    """

    labels: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    positions: NDArray[np.float64]
    categories: list[str | None]
    models: list[str | None]
    predicted_iou: NDArray[np.float64]
    stability_score: NDArray[np.float64]
    created: list[str]


def read_object_rows(job: ExportJob, objects: Pairs, system: CoordinateSystem) -> ObjectRows:
    """Measure objects and read their records.

    Parameters
    ----------
    job : ExportJob
        The export.
    objects : iterable of (ExportedObject, PixelRuns)
        The objects, on each of their planes.
    system : CoordinateSystem
        Where their positions are.
    """
    is_stack = len(job.source.shape) > 2
    names, measured = _measure_volumes(job, objects) if is_stack else _measure_planes(job, objects)
    labels = np.array(sorted(measured), np.int64)
    values = np.array([measured[label] for label in labels.tolist()], float).reshape(len(labels), len(names))
    axes = ("centroid_z_px", *_PLANE_CENTROID) if is_stack else _PLANE_CENTROID
    centroids = values[:, [names.index(name) for name in axes]]
    records: dict[int, ExportedObject] = {}
    scores: dict[int, NDArray[np.float64]] = {}
    for obj in job.source.rows(job.labels):
        records.setdefault(obj.label, obj)
        found = np.array([obj.predicted_iou, obj.stability_score], float)
        scores[obj.label] = np.fmin(scores[obj.label], found) if obj.label in scores else found
    first = [records[label] for label in labels.tolist()]
    lowest = np.array([scores[label] for label in labels.tolist()]).reshape(len(labels), 2)
    return ObjectRows(
        labels,
        names,
        values,
        system.positions(centroids),
        [obj.category for obj in first],
        [obj.model for obj in first],
        lowest[:, 0],
        lowest[:, 1],
        [datetime.fromtimestamp(obj.created, UTC).isoformat(timespec="milliseconds") for obj in first],
    )


def _measure_planes(job: ExportJob, objects: Pairs) -> tuple[tuple[str, ...], dict[int, list[float]]]:
    measurements = ObjectMeasurements(job, shape=True)
    measured = {}
    for obj, runs in objects:
        values = measurements.of(obj, runs)
        measured[obj.label] = [values[name] for name in measurements.names]
    return measurements.names, measured


@dataclass
class _Volume:
    """An object of a stack, plane by plane."""

    voxels: int = 0
    low: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.inf))
    high: NDArray[np.float64] = field(default_factory=lambda: np.full(3, -np.inf))
    position: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def add(self, obj: ExportedObject, runs: PixelRuns) -> None:
        """Add the pixels of a plane."""
        (z,), (y0, x0, y1, x1) = obj.plane, obj.box
        self.voxels += runs.area_px
        self.low = np.minimum(self.low, (z, y0, x0))
        self.high = np.maximum(self.high, (z + 1, y1, x1))
        self.position += (np.array([z, *centroid(runs)]) - self.position) * (runs.area_px / self.voxels)


def _measure_volumes(job: ExportJob, objects: Pairs) -> tuple[tuple[str, ...], dict[int, list[float]]]:
    volumes: dict[int, _Volume] = {}
    for obj, runs in objects:
        volumes.setdefault(obj.label, _Volume()).add(obj, runs)
    placements = [job.source.placement(axis) for axis in job.source.axes]
    units = {placement.unit for placement in placements}
    unit = units.pop() if len(units) == 1 else None  # a volume has a unit if all axes have the same one
    size = float(np.prod([placement.scale for placement in placements]))
    names = _VOLUME_NAMES if unit is None else (*_VOLUME_NAMES, f"volume_{unit_suffix(unit)}3")
    return names, {
        label: [v.voxels, *v.low, *v.high, *v.position, *([] if unit is None else [v.voxels * size])]
        for label, v in volumes.items()
    }
