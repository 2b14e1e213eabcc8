"""Labels as pictures without frills: PNG for small ones, OME-Zarr without the journal."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_pyramid import SHARD_PX, LabelPyramid, blocks

if TYPE_CHECKING:
    from napari_sam.io.exports.export_job import Job

_PNG_PX = 1 << 26


def write_png(job: Job) -> None:
    """Write a 16-bit PNG.

    Raises
    ------
    LabelsError
        If the image is too large, has more than two axes, or ids beyond 65535.
    """
    from PIL import Image  # noqa: PLC0415 - only this needs it

    shape = job.store.shape
    if len(shape) > 2:
        raise LabelsError(f"{job.path}: a PNG has no room for axes {job.store.meta('axes')}; write .tif or .zarr")
    if shape[0] * shape[1] > _PNG_PX:
        raise LabelsError(
            f"{job.path}: {shape[0]} x {shape[1]} pixels; a PNG is written whole, so up to {_PNG_PX} pixels only; "
            "write .tif or .zarr"
        )
    pixels = job.pixels()
    if pixels.largest > np.iinfo(np.uint16).max:
        raise LabelsError(f"{job.path}: id {pixels.largest} does not fit a 16-bit PNG; write .tif or .zarr")
    job.meter.begin(1)
    labels = pixels.read(0, (), (0, 0, shape[-2], shape[-1])).astype(np.uint16)
    pixels.check()
    job.meter.step()
    Image.fromarray(labels).save(job.partial, format="PNG")


def write_zarr(job: Job) -> None:
    """Write an NGFF 0.5 label image of the same levels and chunks, without the journal."""
    store, pixels = job.store, job.pixels()
    made = job.partial / "made"  # one folder deeper, or an image's "labels" would list the unfinished copy
    LabelPyramid.create(made, store.shape, store.meta("axes"), store.scale)
    for entry in made.iterdir():
        entry.rename(job.partial / entry.name)
    made.rmdir()
    _add_place(job)
    out = LabelPyramid(job.partial, writable=True)
    pieces = [blocks((0, 0, level.shape[-2], level.shape[-1]), SHARD_PX) for level in store.levels]
    planes = job.planes()
    job.meter.begin(sum(len(p) for p in pieces) * len(planes))
    for k, boxes in enumerate(pieces):
        for plane, box in product(planes, boxes):
            part = pixels.read(k, plane, box)
            if part.any():  # what is not written reads as background
                y0, x0, y1, x1 = box
                try:
                    out.levels[k].write((*plane, slice(y0, y1), slice(x0, x1)), part).result()
                except (ValueError, OSError, RuntimeError) as error:
                    raise LabelsError(f"{job.path}: cannot be written: {error}; make room") from error
            job.meter.step()
    pixels.check()


def _add_place(job: Job) -> None:
    """Note where the image lies on the map, as our own images do."""
    path = job.partial / "zarr.json"
    group = json.loads(path.read_text())
    transform = None if job.transform is None else list(job.transform)
    group["attributes"]["napari_sam"] = {"crs": job.store.meta("crs"), "transform": transform}
    path.write_text(json.dumps(group, indent=1))
