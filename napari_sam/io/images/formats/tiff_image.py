"""TIFF in all its variants: BigTIFF, OME-TIFF, whole-slide formats, GeoTIFF; pyramids in SubIFDs or pages."""

from __future__ import annotations

import logging
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
from napari_sam.io.images.formats.tiff_pixel_size import axis_placements
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL, Image, default_channels
from napari_sam.io.images.read_errors import READ_ERRORS

if TYPE_CHECKING:
    from pathlib import Path

    from tifffile import TiffFile, TiffPage, TiffPageSeries
    from zarr import Array as ZarrView

    from napari_sam.io.images.formats.positional_file import PositionalFile
    from napari_sam.io.images.formats.tiff_level import SegmentCache

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".scn", ".bif", ".qptiff", ".lsm", ".stk", ".flex")

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
        placements = axis_placements(tiff, series.keyframe)
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
    image = Image(
        arrays,
        axes,
        file_identity(path),
        default_channels(1 if channel is None else arrays[0].shape[channel]),
        plane=(0,) * sum(a not in SPATIAL + CHANNEL_NAMES for a in axes),
        crs=position.crs,
        transform=position.transform,
        control_points=position.control_points,
        persistent=True,
        uri=str(path.resolve()),
        nodata=declared_nodata(series.keyframe),
        bits=_bits(series.keyframe),
        inverted=series.keyframe.photometric == MIN_IS_WHITE,
    )
    image.place(placements)
    if position.transform is not None:
        image.scale, image.unit = pixel_size(position.transform), None
    return image


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


def _bits(page: TiffPage) -> int | None:
    """Return the number of bits of a sample, if it is below that of the type."""
    bits, dtype = page.bitspersample, np.dtype(page.dtype)
    return bits if isinstance(bits, int) and dtype.kind in "iu" and 0 < bits < 8 * dtype.itemsize else None
