"""Labels as a tiled, compressed BigTIFF with scale levels, plain or OME, placed on the map where the image is."""

from __future__ import annotations

import re
import zlib
from importlib import import_module
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.exports.export_job import Job, Pixels

_TILE, _BAND = 512, 4096
_LEVEL = 5  # of zlib, which every reader knows
_PROJECTED, _GEOGRAPHIC, _USER_DEFINED = 1, 2, 32767
_DOUBLE, _ASCII, _SHORT = 12, 2, 3
_OME_UNITS = {"um": "µm", "nm": "nm", "mm": "mm", "cm": "cm", "m": "m"}
_PER_CM = {"um": 1e4, "nm": 1e7, "mm": 10.0, "cm": 1.0, "m": 0.01}


def write_tiff(job: Job) -> None:
    """Write a plain TIFF."""
    _write(job, ome=False)


def write_ome_tiff(job: Job) -> None:
    """Write an OME-TIFF."""
    _write(job, ome=True)


def _write(job: Job, ome: bool) -> None:
    import tifffile  # noqa: PLC0415 - only writing needs it

    levels, pixels = job.store.levels, job.pixels()
    planes = len(job.planes())
    tiles = [planes * -(-level.shape[-2] // _TILE) * -(-level.shape[-1] // _TILE) for level in levels]
    job.meter.begin(sum(tiles))
    common = {"dtype": np.uint32, "tile": (_TILE, _TILE), "compression": "zlib", "photometric": "minisblack"}
    with tifffile.TiffWriter(job.partial, bigtiff=True, ome=ome, byteorder="<") as file:
        for k, level in enumerate(levels):
            kind = {"subifds": len(levels) - 1, **_description(job, ome)} if k == 0 else {"subfiletype": 1}
            file.write(_tiles(k, pixels, job), shape=level.shape, **common, **kind)
    pixels.check()


def _tiles(k: int, pixels: Pixels, job: Job) -> Iterator[bytes]:
    """The compressed tiles of level `k`, plane by plane, row by row."""
    height, width = job.store.levels[k].shape[-2:]
    empty = zlib.compress(bytes(_TILE * _TILE * 4), _LEVEL)
    for plane, y, x in product(job.planes(), range(0, height, _TILE), range(0, width, _BAND)):
        band = pixels.read(k, plane, (y, x, min(y + _TILE, height), min(x + _BAND, width)))
        for left in range(0, band.shape[1], _TILE):
            part = band[:, left : left + _TILE]
            job.meter.step()  # now, because nobody comes back after the last tile
            if part.any():
                tile = np.zeros((_TILE, _TILE), "<u4")
                tile[: part.shape[0], : part.shape[1]] = part
                yield zlib.compress(tile.tobytes(), _LEVEL)
            else:
                yield empty


def _description(job: Job, ome: bool) -> dict[str, Any]:
    """What the first page says of the image: axes, pixel size, place."""
    axes, unit = str(job.store.meta("axes")).upper(), job.unit
    metadata: dict[str, Any] = {"axes": axes}
    found: dict[str, Any] = {"metadata": metadata}
    sy, sx = job.store.scale
    if ome:
        metadata["Name"] = job.store.path.name
        if unit is not None:
            named = _OME_UNITS.get(unit, "reference frame")
            metadata |= {f"PhysicalSize{a}": size for a, size in (("X", sx), ("Y", sy))}
            metadata |= {f"PhysicalSize{a}Unit": named for a in "XY"}
    elif unit in _PER_CM:
        found |= {"resolution": (_PER_CM[unit] / sx, _PER_CM[unit] / sy), "resolutionunit": "CENTIMETER"}
    if job.transform is not None:
        found["extratags"] = geo_tags(job.crs, job.transform, job.store.shape[-2:])
    return found


def geo_tags(
    crs: str | None, transform: tuple[float, ...], shape: tuple[int, ...]
) -> list[tuple[int, int, int, Any, bool]]:
    """GeoTIFF tags, as tifffile takes them: code, type, count, value, only on the first page.

    Parameters
    ----------
    crs : str or None
        "EPSG:...", or words.
    transform : tuple of float
        (a, b, c, d, e, f) from (column, row) of a pixel's outer corner to map coordinates.
    shape : (int, int)
        Height and width in pixels.
    """
    a, b, c, d, e, f = transform
    if b == d == 0 and a > 0 > e:
        tags: list[tuple[int, int, int, Any, bool]] = [
            (33550, _DOUBLE, 3, (a, -e, 0.0), True),
            (33922, _DOUBLE, 6, (0.0, 0.0, 0.0, c, f, 0.0), True),
        ]
    else:
        matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        tags = [(34264, _DOUBLE, 16, matrix, True)]
    keys, words = _geo_keys(crs, transform, shape)
    directory = (1, 1, 0, len(keys), *(v for key in keys for v in key))
    tags.append((34735, _SHORT, len(directory), directory, True))
    if words:
        tags.append((34737, _ASCII, len(words) + 1, words, True))
    return tags


def _geo_keys(
    crs: str | None, transform: tuple[float, ...], shape: tuple[int, ...]
) -> tuple[list[tuple[int, int, int, int]], str]:
    """The keys in ascending order, and the text that they point into."""
    is_area = (1025, 0, 1, 1)
    code = epsg_code(crs)
    if code is not None and code < _USER_DEFINED:
        geographic = is_geographic(code, transform, shape)
        kind, key = (_GEOGRAPHIC, 2048) if geographic else (_PROJECTED, 3072)
        return [(1024, 0, 1, kind), is_area, (key, 0, 1, code)], ""
    words = (crs or "").encode("ascii", "replace").decode().replace("|", "/")
    if not words:
        return [is_area], ""
    words += "|"
    return [(1024, 0, 1, _USER_DEFINED), is_area, (1026, 34737, len(words), 0)], words


def epsg_code(crs: str | None) -> int | None:
    """The number in "EPSG:32632"."""
    found = re.fullmatch(r"(?i)epsg:(\d{1,9})", (crs or "").strip())
    return int(found.group(1)) if found else None


def is_geographic(code: int, transform: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    """Whether an EPSG code means longitude and latitude.

    pyproj knows. Without it the image's place tells: no projected image lies within 360 m of its map's origin.
    """
    try:
        pyproj = import_module("pyproj")
        return bool(pyproj.CRS.from_epsg(code).is_geographic)
    except (ImportError, RuntimeError):  # pyproj's CRSError is a RuntimeError
        a, b, c, d, e, f = transform
        corners = [(x, y) for x in (0, shape[1]) for y in (0, shape[0])]
        return all(abs(a * x + b * y + c) <= 360 and abs(d * x + e * y + f) <= 90 for x, y in corners)
