"""Write labels as GeoJSON: longitude and latitude if the image lies on the map, else pixels, as QuPath reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.class_styles import path_in, qualified_name
from napari_sam.io.exports.export_source import plane_text
from napari_sam.io.exports.object_measurements import BOX_COLUMNS, ObjectMeasurements, as_properties
from napari_sam.io.exports.outlines import Outlines
from napari_sam.io.geo.antimeridian import crosses_antimeridian, jumps, split_at_antimeridian, with_points_between
from napari_sam.io.geo.crs import crs_name
from napari_sam.io.geo.map_coordinates import (
    LATITUDE_LIMIT,
    LON_LAT,
    LONGITUDE_LIMIT,
    control_points_text,
    projection,
    to_map,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob, Pairs
    from napari_sam.io.exports.export_source import ExportedObject
    from napari_sam.io.exports.outlines import Corners
    from napari_sam.io.exports.polygons import Polygon
    from napari_sam.io.geo.map_coordinates import Project
    from napari_sam.io.json_types import JsonObject

    Convert = Callable[[Pairs, Outlines], list[list[Polygon]]]
    Measured = dict[str, float | int | None]
    Properties = Callable[[ExportedObject, Measured, int], JsonObject]

_DIGITS = 9  # of a degree: a tenth of a millimetre
_MAX_ANNOTATIONS = 10_000  # QuPath stays fast with detections, but not with more annotations than this
_PIXEL_NOTE = (
    "pixels of scale level 0 as (x, y): x to the right, y downwards, from the outer corner of the first pixel; "
    "add nothing in QuPath, subtract 0.5 in napari, where pixel centres are whole numbers"
)


def write_geojson(job: ExportJob) -> None:
    """Write longitude and latitude (RFC 7946) if the image lies on the map, else pixels.

    Raises
    ------
    LabelsError
        If the image lies on a map whose CRS is unknown, or where the CRS has no longitude and latitude.
    """
    if job.source.transform is None:
        write_geojson_pixels(job)
        return
    if job.crs is None:
        raise LabelsError(
            f"{job.path}: GeoJSON holds longitude and latitude, and the image lies on a map without a CRS",
            remedy="write .gpkg, which keeps map coordinates, or export with {format} geojson-pixels",
        )
    note = {"coordinates": "longitude and latitude, WGS 84", "from": job.crs}
    _write(job, note, _lon_lat_converter(job, job.crs), lambda obj, measured, _: _properties(obj, measured))


def write_geojson_pixels(job: ExportJob) -> None:
    """Write pixel coordinates, also for an image on the map."""
    source = job.source
    note = {"coordinates": _PIXEL_NOTE, "shape": list(source.shape), "pixel_size_yx": list(source.scale)}
    if source.control_points:
        note["map"] = control_points_text(source.control_points)
    classifications = _classifications(job)
    _write(
        job,
        note,
        lambda _, outlines: outlines.lists(closed=True),
        lambda obj, measured, count: _qupath_properties(obj, measured, count, classifications),
    )


def _write(job: ExportJob, note: JsonObject, convert: Convert, properties: Properties) -> None:
    changed = {"simplified_px": job.settings.simplify_px, "regularised_px": job.settings.regularise_px}
    note = {**note, **{name: value for name, value in changed.items() if value is not None}}
    if job.classes:
        note = {**note, "classes": [style.as_json() for style in job.classes.values()]}
    head = {"type": "FeatureCollection", "napari_sam": {"source": job.source.path.name, **note}}
    objects = job.sequence()
    measurements = ObjectMeasurements(job, shape=True)
    with job.partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "features": [')
        separator = "\n"
        for batch, outlines in job.outlined(objects):
            for (obj, runs), coordinates in zip(batch, convert(batch, outlines), strict=True):
                geometry = _geometry(coordinates, job.plane_index(obj))
                measured = as_properties(measurements.of(obj, runs))
                feature = {"type": "Feature", "id": obj.label, "geometry": geometry}
                file.write(separator + json.dumps({**feature, "properties": properties(obj, measured, len(objects))}))
                separator = ",\n"
                job.step()
        file.write("\n]}\n")


def _geometry(polygons: list[Polygon], plane: dict[str, int]) -> JsonObject:
    geometry: JsonObject = {"type": "Polygon", "coordinates": polygons[0]}
    if len(polygons) > 1:
        geometry = {"type": "MultiPolygon", "coordinates": polygons}
    if plane:  # QuPath's member for the position in a stack
        geometry["plane"] = {"c": plane.get("c", -1), "z": plane.get("z", 0), "t": plane.get("t", 0)}
    return geometry


def _properties(obj: ExportedObject, measured: Measured) -> JsonObject:
    names = ("label", "category", "area_px", "predicted_iou", "stability_score", "model")
    properties = {name: getattr(obj, name) for name in names}
    properties["created"] = datetime.fromtimestamp(obj.created, UTC).isoformat()
    if obj.plane:  # the features of an object are known by its id
        properties |= {"plane": plane_text(obj.plane), "track_id": obj.label}
        properties |= {} if obj.parent is None else {"parent": obj.parent}
    return properties | measured


def _classifications(job: ExportJob) -> dict[str, JsonObject]:
    """Return the classes as QuPath names them, by name; it refuses one without a colour."""
    hierarchy = {name: style.parent for name, style in job.classes.items()}
    return {
        name: {"name": qualified_name(path_in(hierarchy, name)), "color": style.rgb}
        for name, style in job.classes.items()
    }


def _qupath_properties(
    obj: ExportedObject, measured: Measured, count: int, classifications: dict[str, JsonObject]
) -> JsonObject:
    """Add the properties that QuPath displays; it does not accept null, so missing values are left out."""
    scores = {"predicted_iou": obj.predicted_iou, "stability_score": obj.stability_score}
    display: JsonObject = {
        "objectType": "annotation" if count <= _MAX_ANNOTATIONS else "detection",
        "name": str(obj.label),
    }
    if obj.category is not None:
        display["classification"] = classifications[obj.category]
    measurements = {
        name: value for name, value in (measured | scores).items() if value is not None and name not in BOX_COLUMNS
    }
    return {**_properties(obj, measured), **display, "measurements": measurements}


def _lon_lat_converter(job: ExportJob, crs: str) -> Convert:
    """Return the function from pixels to longitude and latitude."""
    transform = job.source.transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    project = _projection(job, crs)

    def to_degrees(corners: Corners, owner: Callable[[int], ExportedObject]) -> NDArray[np.float64]:
        x, y = corners.T.astype(float)
        points = np.stack(project(*to_map(transform, x, y)), axis=1)
        outside = np.flatnonzero(~(np.abs(points) <= (LONGITUDE_LIMIT, LATITUDE_LIMIT)).all(1))  # or not finite
        if len(outside):
            raise LabelsError(
                f"{job.path}: object {owner(int(outside[0])).label} lies where {crs_name(crs)} has no longitude and "
                "latitude",
                remedy="check the image's CRS and transform, or export with {format} geojson-pixels",
            )
        points[:, 1] = points[:, 1].clip(-90, 90)
        return points

    def convert(batch: Pairs, outlines: Outlines) -> list[list[Polygon]]:
        first_corner = outlines.rings[outlines.polygons[outlines.objects]]

        def owner(corner: int) -> int:
            return int(np.searchsorted(first_corner, corner, side="right")) - 1

        def split(index: int) -> list[Polygon]:
            obj, _ = batch[index]
            return _split_polygons(polygons[index], lambda corners: to_degrees(corners, lambda _: obj))

        points = to_degrees(outlines.corners, lambda corner: batch[owner(corner)][0])
        coordinates = _oriented(outlines._replace(corners=points)).lists(closed=True)
        across = np.flatnonzero(jumps(points, points[outlines.following()]))
        polygons = outlines.lists() if len(across) else []
        for index in sorted({owner(corner) for corner in across.tolist()}):
            coordinates[index] = split(index)
        return coordinates

    return convert


def _split_polygons(polygons: list[Polygon], to_degrees: Callable[[Corners], NDArray[np.float64]]) -> list[Polygon]:
    """Return polygons in pixels as ones in degrees, cut where they cross the antimeridian."""
    split: list[list[NDArray[np.float64]]] = []
    for polygon in polygons:
        rings = [to_degrees(np.array(ring, float)) for ring in polygon]
        parts = [rings]
        if any(crosses_antimeridian(ring) for ring in rings):  # or has a side of more than half the world
            dense = [to_degrees(with_points_between(np.array(ring, float))) for ring in polygon]
            if any(crosses_antimeridian(ring) for ring in dense):
                parts = split_at_antimeridian(dense)
        split += parts
    (coordinates,) = _oriented(Outlines.from_lists([split])).lists(closed=True)
    return coordinates


def _oriented(outlines: Outlines) -> Outlines:
    """Return rounded positions; outer rings run counterclockwise, also on maps with y downwards, holes clockwise."""
    rounded = outlines._replace(corners=outlines.corners.round(_DIGITS))
    sizes = np.diff(outlines.rings)
    origin = np.repeat(rounded.corners[outlines.rings[:-1]], sizes, axis=0)  # so that small areas are exact
    (x, y), (x_next, y_next) = (rounded.corners - origin).T, (rounded.corners[rounded.following()] - origin).T
    area = np.add.reduceat(x * y_next - x_next * y, outlines.rings[:-1])
    order = np.arange(len(origin))
    backwards = np.repeat(outlines.rings[:-1] + outlines.rings[1:] - 1, sizes) - order
    is_reversed = np.repeat((area < 0) != outlines.holes(), sizes)
    return rounded._replace(corners=rounded.corners[np.where(is_reversed, backwards, order)])


def _projection(job: ExportJob, crs: str) -> Project:
    """Return the function from map coordinates to longitude and latitude."""
    try:
        return projection(crs, LON_LAT)
    except ValueError as error:
        raise LabelsError(
            f"{job.path}: GeoJSON holds longitude and latitude, to which {crs_name(crs)!r} cannot be converted",
            remedy="write .gpkg, which keeps map coordinates, or export with {format} geojson-pixels",
        ) from error
