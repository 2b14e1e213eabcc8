"""Write labels as a tiled, compressed BigTIFF with scale levels, plain or OME, georeferenced like the image."""

from __future__ import annotations

import zlib
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.io.exports.export_pixels import ExportPixels
from napari_sam.io.geo.geotiff import make_geo_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.exports.export_job import ExportJob

_TILE, _BAND = 512, 4096
_COMPRESSION_LEVEL = 5  # of zlib, which every reader supports
_OME_UNITS = {"um": "µm", "nm": "nm", "mm": "mm", "cm": "cm", "m": "m"}
_PER_CM = {"um": 1e4, "nm": 1e7, "mm": 10.0, "cm": 1.0, "m": 0.01}


def write_tiff(job: ExportJob) -> None:
    """Write a plain TIFF."""
    _write(job, ome=False)


def write_ome_tiff(job: ExportJob) -> None:
    """Write an OME-TIFF."""
    _write(job, ome=True)


def _write(job: ExportJob, ome: bool) -> None:
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    shapes, pixels = job.source.level_shapes, ExportPixels(job.source, job.labels)
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
    source, unit = job.source, job.unit
    metadata: dict[str, str | float] = {"axes": source.axes.upper()}
    arguments: dict[str, Any] = {"metadata": metadata}
    sy, sx = source.scale
    if ome:
        metadata["Name"] = source.path.name
        if unit is not None:
            ome_unit = _OME_UNITS.get(unit, "reference frame")
            metadata |= {f"PhysicalSize{a}": size for a, size in (("X", sx), ("Y", sy))}
            metadata |= {f"PhysicalSize{a}Unit": ome_unit for a in "XY"}
    elif unit in _PER_CM:
        arguments |= {"resolution": (_PER_CM[unit] / sx, _PER_CM[unit] / sy), "resolutionunit": "CENTIMETER"}
    if source.transform is not None:
        arguments["extratags"] = make_geo_tags(job.crs, source.transform, source.shape[-2:])
    return arguments
