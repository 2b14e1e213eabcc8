"""Write labels as a tiled, compressed BigTIFF with scale levels, plain or OME, georeferenced like the image."""

from __future__ import annotations

import zlib
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.io.exports.export_pixels import ExportPixels
from napari_sam.io.geo.geotiff import make_geo_tags
from napari_sam.io.geo.units import conversion, unit_size, unit_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.exports.export_job import ExportJob

_TILE, _BAND = 512, 4096
_COMPRESSION_LEVEL = 5  # of zlib, which every reader supports
_OME_UNITS = {"inch": "in", "foot": "ft", "angstrom": "Å"}  # those that are not the unit's symbol


def write_tiff(job: ExportJob, levels: int | None = None) -> None:
    """Write a plain TIFF with this number of scale levels, all by default."""
    _write(job, ome=False, levels=levels)


def write_ome_tiff(job: ExportJob) -> None:
    """Write an OME-TIFF."""
    _write(job, ome=True)


def _write(job: ExportJob, ome: bool, levels: int | None = None) -> None:
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    shapes, pixels = job.source.level_shapes[:levels], ExportPixels(job.source, job.labels)
    planes = len(job.planes())
    job.counter.begin(sum(planes * -(-shape[-2] // _TILE) * -(-shape[-1] // _TILE) for shape in shapes))
    common = {"dtype": np.uint32, "tile": (_TILE, _TILE), "compression": "zlib", "photometric": "minisblack"}
    with tifffile.TiffWriter(job.partial, bigtiff=True, ome=ome, byteorder="<") as file:
        for level, shape in enumerate(shapes):
            first = {"subifds": len(shapes) - 1, **_description(job, ome)}
            file.write(
                _tiles(job, pixels, level), shape=shape, **common, **(first if level == 0 else {"subfiletype": 1})
            )
    pixels.check()


def _tiles(job: ExportJob, pixels: ExportPixels, level: int) -> Iterator[bytes]:
    """Return the compressed tiles of a scale level, plane by plane, row by row."""
    height, width = job.source.level_shapes[level][-2:]
    empty = zlib.compress(bytes(_TILE * _TILE * 4), _COMPRESSION_LEVEL)
    for plane, y, x in product(job.planes(), range(0, height, _TILE), range(0, width, _BAND)):
        band = pixels.read(level, plane, (y, x, min(y + _TILE, height), min(x + _BAND, width)))
        for left in range(0, band.shape[1], _TILE):
            part = band[:, left : left + _TILE]
            job.step()  # before the yield, because the generator is not resumed after the last tile
            if part.any():
                tile = np.zeros((_TILE, _TILE), "<u4")
                tile[: part.shape[0], : part.shape[1]] = part
                yield zlib.compress(tile.tobytes(), _COMPRESSION_LEVEL)
            else:
                yield empty


def _description(job: ExportJob, ome: bool) -> dict[str, Any]:
    """Return tifffile's arguments for the first page: axes, pixel size and position on the map."""
    source = job.source
    metadata: dict[str, str | float] = {"axes": source.axes.upper()}
    arguments: dict[str, Any] = {"metadata": metadata}
    per_cm = conversion("centimeter", source.unit)
    sy, sx = source.scale
    if ome:
        metadata |= {"Name": source.path.name, **_ome_sizes(job)}
    elif per_cm is not None:
        arguments |= {"resolution": (per_cm / sx, per_cm / sy), "resolutionunit": "CENTIMETER"}
    if source.transform is not None:
        arguments["extratags"] = make_geo_tags(job.crs, source.transform, source.shape[-2:])
    return arguments


def _ome_sizes(job: ExportJob) -> dict[str, str | float]:
    """Return OME's sizes of a pixel along x, y and z and the time between frames, where they are known."""
    sizes: dict[str, str | float] = {}
    for axis in job.source.axes:
        placement = job.source.placement(axis)
        if axis not in "xyzt" or (placement.unit is None and placement.scale == 1.0):
            continue
        name = "TimeIncrement" if axis == "t" else f"PhysicalSize{axis.upper()}"
        sizes |= {name: placement.scale, f"{name}Unit": _ome_unit(placement.unit)}
    return sizes


def _ome_unit(unit: str | None) -> str:
    if unit_size(unit) is None or unit is None:
        return "reference frame"
    return _OME_UNITS.get(unit) or unit_suffix(unit).replace("u", "µ")
