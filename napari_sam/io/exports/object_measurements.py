"""Measurements of objects in pixels, physical units and on the ground, for tables and for properties of polygons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_sam.io.geo.ground_area import ground_area
from napari_sam.io.geo.map_coordinates import to_map
from napari_sam.io.shape_moments import run_moments, shape_from_moments

if TYPE_CHECKING:
    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportedObject
    from napari_sam.io.pixel_runs import PixelRuns

BOX_COLUMNS = ("y0", "x0", "y1", "x1")
WHOLE_COLUMNS = ("area_px", *BOX_COLUMNS)
_SHAPE_COLUMNS = ("eccentricity", "orientation", "equivalent_diameter_px")


class ObjectMeasurements:
    """Measure the objects of an export one by one.

    Parameters
    ----------
    job : ExportJob
        The export, which knows pixel size and map.
    shape : bool
        Whether to measure eccentricity, orientation and diameter too.

    Attributes
    ----------
    names : tuple of str
        Names of the measurements, in the order of the columns of a table.
    """

    def __init__(self, job: ExportJob, *, shape: bool = False) -> None:
        source = job.source
        self._transform = source.transform
        self._ground = ground_area(job.crs, source.transform, source.shape)
        self._unit = job.unit
        self._scale = source.scale
        self._shape = _SHAPE_COLUMNS if shape else ()
        self.names = (*WHOLE_COLUMNS, "centroid_y_px", "centroid_x_px", *self._physical_names(), *self._shape)

    def of(self, obj: ExportedObject, runs: PixelRuns) -> dict[str, float]:
        """Return the measurements of an object by name."""
        y, x = centroid(runs)
        area = runs.area_px
        values: dict[str, float] = {"area_px": area, **dict(zip(BOX_COLUMNS, obj.box, strict=True))}
        values |= {"centroid_y_px": y, "centroid_x_px": x}
        if self._transform is not None:
            map_x, map_y = to_map(self._transform, x + 0.5, y + 0.5)
            values |= {self._area_name: self._map_area(runs), "centroid_x_map": map_x, "centroid_y_map": map_y}
        elif self._unit is not None:
            sy, sx = self._scale
            values |= {self._area_name: area * sy * sx}
            values |= {f"centroid_y_{self._unit}": y * sy, f"centroid_x_{self._unit}": x * sx}
        if self._shape:
            shapes = shape_from_moments(run_moments(runs, (y, x)), (y, x))
            values |= {name: shapes[name] for name in self._shape}
        return values

    @property
    def _area_name(self) -> str:
        if self._transform is not None:
            return "area_map" if self._ground is None else "area_m2"
        return f"area_{self._unit}" if self._unit == "world" else f"area_{self._unit}2"

    def _physical_names(self) -> tuple[str, ...]:
        if self._transform is not None:
            return self._area_name, "centroid_x_map", "centroid_y_map"
        if self._unit is None:
            return ()
        return self._area_name, f"centroid_y_{self._unit}", f"centroid_x_{self._unit}"

    def _map_area(self, runs: PixelRuns) -> float:
        """Return the area in square metres, or in squared map units if the map is unknown."""
        if self._ground is not None:
            return self._ground.object_area(runs)
        a, b, _, d, e, _ = self._transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        return runs.area_px * abs(a * e - b * d)


def as_properties(values: dict[str, float]) -> dict[str, float | int | None]:
    """Return measurements as JSON and databases hold them: whole numbers as such, None for a value that is not finite.

    >>> as_properties({"area_px": 3.0, "area_m2": float("nan")})
    {'area_px': 3, 'area_m2': None}
    """
    return {
        name: int(value) if name in WHOLE_COLUMNS else float(value) if math.isfinite(value) else None
        for name, value in values.items()
    }


def centroid(runs: PixelRuns) -> tuple[float, float]:
    """Return the mean (y, x) of an object's pixels; pixel centres are whole numbers.

    >>> import numpy as np
    >>> from napari_sam.io.pixel_runs import PixelRuns
    >>> centroid(PixelRuns(*np.array([[3, 4], [7, 7], [9, 9]])))
    (3.5, 7.5)
    """
    lengths = runs.stop - runs.start
    area = lengths.sum()
    return float((runs.line * lengths).sum() / area), float(((runs.start + runs.stop - 1) * lengths).sum() / area / 2)
