"""Write labels as OME-Zarr 0.4, which is zarr 2, for programs that do not read 0.5 yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import tensorstore as ts

from napari_sam.errors import LabelsError
from napari_sam.io.exports.writers.write_raster import add_classes, map_position, write_levels
from napari_sam.io.geo.axis_placement import ngff_axes, ngff_datasets
from napari_sam.io.kvstore import file_kvstore
from src_models.atomic import write_json

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.json_types import JsonObject

_VERSION = "0.4"
_CHUNK_PX = 1024  # zarr 2 has no shards, so that each chunk is a file


class _Level:
    """An array of zarr 2 to write to."""

    def __init__(self, array: ts.TensorStore) -> None:
        self._array = array

    def write(self, index: tuple[int | slice, ...], values: NDArray[np.uint32]) -> Future[None]:
        """Start to write a part."""
        return cast("Future[None]", self._array[index].write(values))


def write_zarr_04(job: ExportJob) -> None:
    """Write an NGFF 0.4 label image with the same levels, without the journal.

    Raises
    ------
    LabelsError
        If it cannot be written.
    """
    job.partial.mkdir(parents=True)
    try:
        levels = [_Level(_create(job, k, shape)) for k, shape in enumerate(job.source.level_shapes)]
    except (ValueError, OSError, RuntimeError) as error:
        raise LabelsError(f"{job.path}: cannot be written: {error}", remedy="choose another {path}") from error
    write_json(job.partial / ".zgroup", {"zarr_format": 2})
    write_json(job.partial / ".zattrs", _attributes(job))
    write_levels(job, levels)


def _create(job: ExportJob, level: int, shape: tuple[int, ...]) -> ts.TensorStore:
    metadata = {
        "shape": list(shape),
        "chunks": [*(1 for _ in shape[:-2]), *(max(1, min(_CHUNK_PX, n)) for n in shape[-2:])],
        "dtype": "<u4",
        "fill_value": 0,
        "dimension_separator": "/",
        "compressor": {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 1},
    }
    kvstore = file_kvstore(job.partial / str(level))
    return ts.open({"driver": "zarr", "kvstore": kvstore, "metadata": metadata}, create=True).result()


def _attributes(job: ExportJob) -> JsonObject:
    """Return the metadata of the group: levels, axes, and the classes of labels."""
    source = job.source
    placements = {axis: source.placement(axis) for axis in source.axes}
    multiscale: JsonObject = {
        "version": _VERSION,
        "name": "labels",
        "axes": ngff_axes(source.axes, placements),
        "datasets": ngff_datasets(list(placements.values()), len(source.level_shapes)),
        "type": "nearest",
    }
    attributes: JsonObject = {"multiscales": [multiscale], "image-label": {"version": _VERSION, "colors": []}}
    classes = add_classes(job, attributes)
    return {**attributes, "napari_sam": {**map_position(source), **({"classes": classes} if classes else {})}}
