"""Labels as GeoJSON: longitude and latitude where the image lies on the map, else pixels, as QuPath reads them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.polygons import polygons_of
from napari_sam.io.exports.write_table import map_point
from napari_sam.io.labels.edits import plane_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import Job
    from napari_sam.io.exports.polygons import Ring
    from napari_sam.io.labels.journal import Row

    Place = Callable[[Row, list[list[Ring]]], list[list[list[Any]]]]

_LON_LAT = "EPSG:4326"
_DIGITS = 9  # of a degree: a tenth of a millimetre
_MANY = 10_000  # QuPath stays quick with detections, not with as many annotations
_NOTE = (
    "pixels of scale level 0 as (x, y): x to the right, y downwards, from the outer corner of the first pixel; "
    "add nothing in QuPath, subtract 0.5 in napari, where pixel centres are whole numbers"
)


def write_geojson(job: Job) -> None:
    """Write longitude and latitude (RFC 7946) if the image lies on the map, else pixels."""
    if job.crs is None:
        write_geojson_pixels(job)
        return
    own = {"coordinates": "longitude and latitude, WGS 84", "from": job.crs}
    _write(job, own, _to_lon_lat(job, job.crs), lambda row, _: {**_properties(row), **_plane_property(row)})


def write_geojson_pixels(job: Job) -> None:
    """Write pixel coordinates, wherever the image lies."""
    own = {"coordinates": _NOTE, "shape": list(job.store.shape), "pixel_size_yx": list(job.store.scale)}
    _write(job, own, lambda _, polygons: [[[*r, r[0]] for r in p] for p in polygons], _qupath)


def _write(job: Job, own: dict[str, Any], place: Place, properties: Callable[[Row, int], dict[str, Any]]) -> None:
    head = {"type": "FeatureCollection", "napari_sam": {"source": job.store.path.name, **own}}
    reader = job.reader()
    axes = str(job.store.meta("axes"))[:-2]
    with job.partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "features": [')
        between = "\n"
        for row, runs in reader:
            polygons = place(row, polygons_of(runs))
            geometry = _geometry(polygons, dict(zip(axes, plane_of(row), strict=True)))
            feature = {"type": "Feature", "id": row["label"], "geometry": geometry}
            file.write(between + json.dumps({**feature, "properties": properties(row, len(reader))}))
            between = ",\n"
            job.meter.step()
        file.write("\n]}\n")


def _geometry(polygons: list[list[list[Any]]], plane: dict[str, int]) -> dict[str, Any]:
    geometry: dict[str, Any] = {"type": "Polygon", "coordinates": polygons[0]}
    if len(polygons) > 1:
        geometry = {"type": "MultiPolygon", "coordinates": polygons}
    if plane:  # QuPath's word for where in a stack
        geometry["plane"] = {"c": plane.get("c", -1), "z": plane.get("z", 0), "t": plane.get("t", 0)}
    return geometry


def _properties(row: Row) -> dict[str, Any]:
    created = datetime.fromtimestamp(row["created"], UTC).isoformat()
    kept = ("label", "category", "area_px", "predicted_iou", "stability_score", "model")
    return {**{key: row[key] for key in kept}, "created": created}


def _plane_property(row: Row) -> dict[str, Any]:
    return {"plane": row["plane"]} if row["plane"] else {}


def _qupath(row: Row, count: int) -> dict[str, Any]:
    """Properties with those that QuPath shows; it does not take null for a missing one."""
    measures = {key: row[key] for key in ("area_px", "predicted_iou", "stability_score") if row[key] is not None}
    shown: dict[str, Any] = {"objectType": "annotation" if count <= _MANY else "detection", "name": str(row["label"])}
    if row["category"] is not None:
        shown["classification"] = {"name": row["category"]}
    return {**_properties(row), **_plane_property(row), **shown, "measurements": measures}


def _to_lon_lat(job: Job, crs: str) -> Place:
    """Takes pixels to longitude and latitude."""
    transform = job.transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    project = _projection(job, crs)

    def place(row: Row, polygons: list[list[Ring]]) -> list[list[list[Any]]]:
        return [[_lon_lat_ring(row, ring, i > 0) for i, ring in enumerate(polygon)] for polygon in polygons]

    def _lon_lat_ring(row: Row, ring: Ring, hole: bool) -> list[Any]:
        x, y = np.array(ring, float).T
        lon, lat = project(*map_point(transform, x, y))
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            raise LabelsError(
                f"{job.path}: object {row['label']} lies where {crs} has no longitude and latitude; check the image's "
                "transform, or export format='geojson-pixels'"
            )
        points = np.stack([lon, lat], axis=1).round(_DIGITS)
        if (_doubled_area(points) < 0) != hole:  # outer rings run counterclockwise, also from maps with y downwards
            points = points[::-1]
        listed: list[Any] = points.tolist()
        return [*listed, listed[0]]

    return place


def _projection(job: Job, crs: str) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Map coordinates to longitude and latitude."""
    if crs.upper() == _LON_LAT:
        return lambda x, y: (x, y)
    try:
        pyproj = import_module("pyproj")
    except ImportError as error:
        raise LabelsError(
            f"{job.path}: GeoJSON is in longitude and latitude, and to get there from {crs} needs pyproj; run "
            "'pip install napari-sam-xl[geo]', or write .gpkg, or format='geojson-pixels'"
        ) from error
    try:
        transformer = pyproj.Transformer.from_crs(crs, _LON_LAT, always_xy=True)
    except pyproj.exceptions.CRSError as error:
        raise LabelsError(
            f"{job.path}: nobody knows the CRS {crs!r}; write .gpkg, which keeps map coordinates, or "
            "format='geojson-pixels'"
        ) from error
    convert: Callable[[Any, Any], tuple[Any, Any]] = transformer.transform
    return convert


def _doubled_area(points: NDArray[np.float64]) -> float:
    x, y = (points - points[0]).T  # near zero, where small areas are exact
    return math.fsum(x * np.roll(y, -1) - np.roll(x, -1) * y)
