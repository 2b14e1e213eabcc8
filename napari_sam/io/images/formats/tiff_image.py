"""TIFF in all its variants: BigTIFF, OME-TIFF, whole-slide formats, GeoTIFF; pyramids in SubIFDs or pages."""

from __future__ import annotations

import logging
import re
import weakref
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.geo.geotiff import read_geo_tags
from napari_sam.io.geo.map_coordinates import pixel_size
from napari_sam.io.geo.sidecar_files import map_position
from napari_sam.io.images.formats.file_identity import file_identity
from napari_sam.io.images.formats.tiff_colour import MIN_IS_WHITE, colour_arrays
from napari_sam.io.images.formats.tiff_level import OversizeError, TiffLevel, declared_nodata, segment_cache
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL, Image, default_channels
from napari_sam.io.images.read_errors import READ_ERRORS

if TYPE_CHECKING:
    from pathlib import Path

    from tifffile import TiffFile, TiffPage, TiffPageSeries
    from zarr import Array as ZarrView

    from napari_sam.io.images.formats.positional_file import PositionalFile
    from napari_sam.io.images.formats.tiff_level import SegmentCache

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".scn", ".bif", ".qptiff", ".lsm", ".stk", ".flex")
_UNITS = {"µm": "micrometer", "um": "micrometer", "micron": "micrometer", "nm": "nanometer", "mm": "millimeter"}

logging.getLogger("tifffile").addFilter(lambda record: "GDAL_NODATA" not in record.getMessage())  # read by us


def open_tiff(path: Path) -> Image:
    """Open a TIFF; reads its directory only.

    Raises
    ------
    ImageError
        If it cannot be read, or is not a picture.
    """
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    try:
        tiff = tifffile.TiffFile(path)
        weakref.finalize(tiff, tiff.filehandle.close)  # with the image, or after an error
        series = tiff.series[0]
        levels = _levels(tiff)
        stored = _arrays(levels)
        position = map_position(path, read_geo_tags(series.keyframe))
        scale, unit = _pixel_size(tiff, series.keyframe)
    except OversizeError as error:
        raise ImageError(f"{path}: {error}", remedy="write it with tiles, or as OME-Zarr") from error
    except (tifffile.TiffFileError, *READ_ERRORS) as error:
        raise ImageError(f"{path}: not a readable TIFF ({error})", remedy="check that the file is complete") from error
    axes = series.axes.lower()
    if not {"y", "x"} <= set(axes):
        raise ImageError(f"{path}: axes {series.axes} do not include y and x", remedy="save it as a picture")
    try:
        arrays, axes = colour_arrays(stored, axes, series.keyframe)
    except ValueError as error:
        raise ImageError(f"{path}: {error}", remedy="convert it to red, green and blue") from error
    if sum(a in CHANNEL_NAMES for a in axes) > 1:  # samples within channels: the samples are the channels
        axes = axes.replace("c", "q")
    channel = next((i for i, a in enumerate(axes) if a in CHANNEL_NAMES), None)
    return Image(
        arrays,
        axes,
        file_identity(path),
        default_channels(1 if channel is None else arrays[0].shape[channel]),
        plane=(0,) * sum(a not in SPATIAL + CHANNEL_NAMES for a in axes),
        scale=scale if position.transform is None else pixel_size(position.transform),
        unit=unit if position.transform is None else None,
        crs=position.crs,
        transform=position.transform,
        control_points=position.control_points,
        persistent=True,
        uri=str(path.resolve()),
        nodata=declared_nodata(series.keyframe),
        bits=_bits(series.keyframe),
        inverted=series.keyframe.photometric == MIN_IS_WHITE,
    )


def _levels(tiff: TiffFile) -> list[TiffPageSeries]:
    """Return the levels of the first series, followed by the series of its reduced copies."""
    first = tiff.series[0]
    if len(first.levels) > 1:
        return list(first.levels)
    levels = [first]
    for other in tiff.series[1:]:
        finer = levels[-1]
        same = other.axes == first.axes and other.dtype == first.dtype and len(other.shape) == len(first.shape)
        if not same or not other.keyframe.is_reduced:
            break
        if any(n > m for n, m in zip(other.shape, finer.shape, strict=True)):
            break
        levels.append(other)
    return levels


def _arrays(levels: list[TiffPageSeries]) -> list[TiffLevel | ZarrView]:
    files: dict[str, PositionalFile] = {}
    cache = segment_cache()
    return [_array(level, files, cache) for level in levels]


def _array(level: TiffPageSeries, files: dict[str, PositionalFile], cache: SegmentCache) -> TiffLevel | ZarrView:
    """Return our own reader of a level, or tifffile's view of pages that it does not support."""
    try:
        return TiffLevel(level, files, cache)
    except OversizeError:
        raise
    except ValueError:
        import zarr  # noqa: PLC0415 - slow to import

        view: ZarrView = zarr.open_array(level.aszarr(), mode="r")
        return view


def _pixel_size(tiff: TiffFile, page: TiffPage) -> tuple[tuple[float, float], str | None]:
    """Return the size of a pixel along y and x and its unit, from the formats that define one."""
    size: PixelSize | None = None
    if tiff.is_ome:
        size = _ome_pixel_size(tiff.ome_metadata or "")
    elif tiff.is_svs:
        size = _svs_pixel_size(page.description or "")
    elif tiff.is_ndpi:
        size = _resolution(page, "µm", 1e4)  # NDPI counts pixels per centimetre
    elif tiff.is_imagej:
        size = _resolution(page, _imagej_unit(tiff), 1.0)
    if size is not None:
        (y, x), unit = size
        valid = 0 < y < float("inf") and 0 < x < float("inf")
        return ((y, x) if valid else (1.0, 1.0)), _UNITS.get(unit, unit)
    return (1.0, 1.0), None


PixelSize = tuple[tuple[float, float], str]


def _ome_pixel_size(xml: str) -> PixelSize | None:
    """Return PhysicalSizeY and PhysicalSizeX of the first image in OME-XML."""
    y, x, unit = (re.search(rf'PhysicalSize{name}="([^"]+)"', xml) for name in ("Y", "X", "XUnit"))
    if y is None or x is None:
        return None
    return (float(y.group(1)), float(x.group(1))), unit.group(1) if unit else "µm"


def _svs_pixel_size(description: str) -> PixelSize | None:
    """Return the micrometres per pixel in the description of an Aperio slide."""
    match = re.search(r"MPP\s*=\s*([\d.]+)", description)
    if match is None:
        return None
    size = float(match.group(1))
    return (size, size), "micrometer"


def _resolution(page: TiffPage, unit: str, factor: float) -> PixelSize | None:
    """Return the pixel size of a page that stores pixels per unit."""
    x, y = page.resolution
    return ((factor / y, factor / x), unit) if unit and x > 0 and y > 0 else None


def _imagej_unit(tiff: TiffFile) -> str:
    return str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")


def _bits(page: TiffPage) -> int | None:
    """Return the number of bits of a sample, if it is below that of the type."""
    bits, dtype = page.bitspersample, np.dtype(page.dtype)
    return bits if isinstance(bits, int) and dtype.kind in "iu" and 0 < bits < 8 * dtype.itemsize else None
