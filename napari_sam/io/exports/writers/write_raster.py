"""Write labels as a picture: PNG for small images, OME-Zarr without the journal."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.export_pixels import ExportPixels
from napari_sam.io.geo.geotiff import MapPosition
from napari_sam.io.images.pyramid_files import chunk_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportSource, WritableLevel
    from napari_sam.io.json_types import JsonObject

_PNG_PX = 1 << 26
_MOST_PROPERTIES = 500_000  # programs read the JSON file that holds them as a whole
_PIECE_PX = 2048  # side of a shard of a label image


def write_png(job: ExportJob) -> None:
    """Write a 16-bit PNG.

    Raises
    ------
    LabelsError
        If the image is too large, has more than two axes, or ids beyond 65535.
    """
    from PIL import Image  # noqa: PLC0415 - only this format needs it

    shape, remedy = job.source.shape, "write .tif or .zarr"
    if len(shape) > 2:
        raise LabelsError(f"{job.path}: a PNG cannot hold axes {job.source.axes}", remedy=remedy)
    height, width = shape
    if height * width > _PNG_PX:
        raise LabelsError(
            f"{job.path}: {height} x {width} pixels; a PNG is held in memory, so it is limited to {_PNG_PX} pixels",
            remedy=remedy,
        )
    pixels = ExportPixels(job.source, job.labels)
    if pixels.largest > np.iinfo(np.uint16).max:
        raise LabelsError(f"{job.path}: id {pixels.largest} does not fit a 16-bit PNG", remedy=remedy)
    job.counter.begin(1)
    labels = pixels.read(0, (), (0, 0, height, width)).astype(np.uint16)
    pixels.check()
    job.step()
    Image.fromarray(labels).save(job.partial, format="PNG")


def write_zarr(job: ExportJob) -> None:
    """Write an NGFF 0.5 label image with the same levels and chunks, without the journal."""
    levels = job.source.create_copy(job.partial)
    _add_metadata(job)
    write_levels(job, levels)


def write_levels(job: ExportJob, levels: Sequence[WritableLevel], *, further_steps: int = 0) -> None:
    """Write the pixels of all scale levels, piece by piece; `further_steps` of the export follow.

    Raises
    ------
    LabelsError
        If they cannot be written.
    StoreError
        If pixels are missing in the store.
    """
    source, pixels = job.source, ExportPixels(job.source, job.labels)
    boxes = [list(chunk_boxes((h, w), (_PIECE_PX, _PIECE_PX))) for *_, h, w in source.level_shapes]
    planes = job.planes()
    job.counter.begin(sum(map(len, boxes)) * len(planes) + further_steps)
    for k, level in enumerate(levels):
        for plane, box in product(planes, boxes[k]):
            labels = pixels.read(k, plane, box)
            if labels.any():  # parts that are not written read as background
                y0, x0, y1, x1 = box
                try:
                    level.write((*plane, slice(y0, y1), slice(x0, x1)), labels).result()
                except (ValueError, OSError, RuntimeError) as error:
                    raise LabelsError(f"{job.path}: cannot be written: {error}", remedy="make room") from error
            job.step()
    pixels.check()


def _add_metadata(job: ExportJob) -> None:
    """Add CRS and transform to the group's metadata, as in the images that `transcode` writes, and the classes."""
    path = job.partial / "zarr.json"
    group = json.loads(path.read_text())
    group["attributes"]["napari_sam"] = map_position(job.source)
    classes = add_classes(job, group["attributes"]["ome"])
    if classes:
        group["attributes"]["napari_sam"]["classes"] = classes
    path.write_text(json.dumps(group, indent=1))


def map_position(source: ExportSource) -> JsonObject:
    """Return CRS and transform as our label images keep them."""
    return MapPosition(source.crs, source.transform, source.control_points).as_json()


def add_classes(job: ExportJob, ome: JsonObject) -> list[JsonObject]:
    """Add the class of each object as a property of its label, and the class's colour; returns the classes."""
    labels = ome.setdefault("image-label", {})
    colours: dict[int, JsonObject] = {}
    properties: dict[int, JsonObject] = {}
    for obj in job.source.rows(job.labels):
        if obj.category is not None and obj.label not in properties and len(properties) < _MOST_PROPERTIES:
            colours[obj.label] = {"label-value": obj.label, "rgba": [*job.classes[obj.category].rgb, 255]}
            properties[obj.label] = {"label-value": obj.label, "category": obj.category}
    if properties:
        labels["colors"], labels["properties"] = list(colours.values()), list(properties.values())
    return [style.as_json() for style in job.classes.values()]
