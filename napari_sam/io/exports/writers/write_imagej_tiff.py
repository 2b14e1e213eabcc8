"""Write labels as a 16-bit classic TIFF, which ImageJ and Fiji open without a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.export_pixels import ExportPixels
from napari_sam.io.images.pyramid_files import chunk_boxes

if TYPE_CHECKING:
    from napari_sam.io.exports.export_job import ExportJob

_LARGEST_BYTES = 0xFFFF_FFFF - (1 << 20)  # of a classic TIFF, without its metadata
_LARGEST_PLANE_PX = 0x7FFF_FFFF  # of an array of Java
_PIECE_PX = 4096


def write_imagej_tiff(job: ExportJob) -> None:
    """Write an uncompressed hyperstack.

    Raises
    ------
    LabelsError
        If ids do not fit 16 bits, or the image does not fit a classic TIFF.
    """
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    source, pixels = job.source, ExportPixels(job.source, job.labels)
    height, width = source.shape[-2:]
    if pixels.largest > np.iinfo(np.uint16).max:
        raise LabelsError(f"{job.path}: id {pixels.largest} does not fit 16 bits", remedy="write {format} tiff")
    if 2 * np.prod(source.shape, dtype=np.int64) > _LARGEST_BYTES or height * width > _LARGEST_PLANE_PX:
        raise LabelsError(
            f"{job.path}: shape {source.shape} is too large for a classic TIFF and for ImageJ",
            remedy="write {format} ome-tiff, which Fiji opens with Bio-Formats",
        )
    boxes, planes = list(chunk_boxes((height, width), (_PIECE_PX, _PIECE_PX))), job.planes()
    job.counter.begin(len(boxes) * len(planes))
    target = tifffile.memmap(job.partial, shape=_imagej_shape(job), dtype=">u2", imagej=True, **_description(job))
    stack = target.reshape(source.shape)
    for plane in planes:
        for box in boxes:
            stack[(*plane, *box.slices)] = pixels.read(0, plane, box)
            job.step()
    target.flush()
    pixels.check()


def _imagej_shape(job: ExportJob) -> tuple[int, ...]:
    """Return the shape with ImageJ's axes TZCYX and without colour."""
    sizes = dict(zip(job.source.axes, job.source.shape, strict=True))
    return (*(sizes.get(axis, 1) for axis in "tzcyx"), 1)


def _description(job: ExportJob) -> dict[str, Any]:
    """Return tifffile's arguments: axes, pixel size and distance of planes."""
    unit, (sy, sx) = job.unit, job.source.scale
    metadata: dict[str, Any] = {"axes": "TZCYXS"}
    if unit is None or unit == "world":
        return {"metadata": metadata}
    metadata["unit"] = unit
    for axis, name in (("z", "spacing"), ("t", "finterval")):
        if axis in job.source.axes:
            metadata[name] = job.source.placement(axis).scale
    return {"metadata": metadata, "resolution": (1 / sx, 1 / sy)}
