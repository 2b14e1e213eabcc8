"""TIFF in all its variants: BigTIFF, OME-TIFF, whole-slide formats, GeoTIFF; pyramids in SubIFDs or pages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.geo.geotiff import read_geo_tags
from napari_sam.io.geo.sidecar_files import map_position, nodata_beside
from napari_sam.io.images.address import Choice, check_axes
from napari_sam.io.images.formats.file_identity import file_identity
from napari_sam.io.images.formats.masked_level import declare_nodata, mask_image
from napari_sam.io.images.formats.tiff.tiff_colour import MIN_IS_WHITE, colour_arrays
from napari_sam.io.images.formats.tiff.tiff_directories import check_directories
from napari_sam.io.images.formats.tiff.tiff_level import OversizeError, TiffFiles, TiffLevel, declared_nodata
from napari_sam.io.images.formats.tiff.tiff_masks import alpha_masks, external_mask, internal_mask, mask_file
from napari_sam.io.images.formats.tiff.tiff_pixel_size import axis_placements
from napari_sam.io.images.formats.tiff.tiff_series import choose_series, levels_of, missing_files, open_pages
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL, Image, default_channels
from napari_sam.io.images.read_errors import READ_ERRORS

if TYPE_CHECKING:
    from pathlib import Path

    from tifffile import TiffPage, TiffPageSeries
    from zarr import Array as ZarrView

    from napari_sam.io.images.formats.masked_level import Mask


TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".scn", ".bif", ".qptiff", ".lsm", ".stk", ".flex")

_MOST_CHANNELS = 64  # that are looked for in the files of a set
_REPORTED_HERE = ("GDAL_NODATA", "OME series failed to read")
logging.getLogger("tifffile").addFilter(lambda record: not any(t in record.getMessage() for t in _REPORTED_HERE))


def open_tiff(path: Path, choice: Choice | None = None) -> Image:
    """Open a TIFF; reads its directory only.

    Parameters
    ----------
    path : Path
        The file.
    choice : Choice, optional
        Series and axes that the user chose.

    Raises
    ------
    ImageError
        If it cannot be read, is not a picture, or has no such series or axes.
    """
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    choice = choice or Choice()
    try:
        check_directories(path)
        tiff, flaws = open_pages(path)
        number, others = choose_series(tiff, choice.series)
        notes = (*flaws, *others)
        series = tiff.series[number]
        missing = missing_files(tiff)
        files = TiffFiles(missing=tuple(missing))
        stored = [_array(level, files) for level in levels_of(tiff, number)]
        internal = internal_mask(tiff, number, files)
        position = map_position(path, read_geo_tags(series.keyframe))
        placements = axis_placements(tiff, series.keyframe, number)
    except OversizeError as error:
        raise ImageError(f"{path}: {error}", remedy="write it with tiles, or as OME-Zarr") from error
    except (tifffile.TiffFileError, *READ_ERRORS) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: not a readable TIFF ({error})", remedy="check that the file is complete") from error
    axes = series.axes.lower() if choice.axes is None else check_axes(choice.axes, series.shape, str(path))
    if not {"y", "x"} <= set(axes):
        raise ImageError(f"{path}: axes {series.axes} do not include y and x", remedy="save it as a picture")
    if len(axes) != len(stored[0].shape):  # damaged sizes
        raise ImageError(
            f"{path}: not a readable TIFF (axes {axes} of shape {tuple(stored[0].shape)})",
            remedy="check that the file is complete",
        )
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
        _identity(path, number, choice),
        _default_channels(stored[0], channel, arrays[0].shape),
        plane=(0,) * sum(a not in SPATIAL + CHANNEL_NAMES for a in axes),
        persistent=True,
        uri=choice.address(str(path.resolve())),
        notes=(*notes, *(f"{name} is missing beside it: planes stored there cannot be read" for name in missing)),
        nodata=declared_nodata(series.keyframe),
        bits=_bits(series.keyframe),
        inverted=series.keyframe.photometric == MIN_IS_WHITE,
    )
    declare_nodata(image, nodata_beside(path))
    _mask(image, path, stored, series.keyframe, internal)
    image.place(placements)
    image.locate(position)
    return image


def _mask(image: Image, path: Path, stored: list[TiffLevel | ZarrView], page: TiffPage, own: Mask | None) -> None:
    """Make what alpha channel, mask directories and a mask file mask "no data"."""
    beside = external_mask(path, image) if not any(n > 1 for n in image.plane_axes.values()) else None
    shared = [mask for mask in (own, beside) if mask is not None]
    alphas = alpha_masks(stored, image.array_axes, page)
    masks = [shared if alpha is None else [*shared, alpha] for alpha in alphas]
    mask_image(image, masks, "masked" if beside is None else f"masked by {file_identity(mask_file(path))}")


def _array(level: TiffPageSeries, files: TiffFiles) -> TiffLevel | ZarrView:
    """Return our own reader of a level, or tifffile's view of pages that it does not support."""
    try:
        return TiffLevel(level, files)
    except OversizeError:
        raise
    except ValueError:
        import zarr  # noqa: PLC0415 - slow to import

        view: ZarrView = zarr.open_array(level.aszarr(), mode="r")
        return view


def _default_channels(level: TiffLevel | ZarrView, axis: int | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the channels to use: the first ones that are not in a missing file of a set."""
    count = 1 if axis is None else int(shape[axis])
    chosen = default_channels(count)
    if axis is None or not isinstance(level, TiffLevel) or axis >= len(level.leading):
        return chosen

    def is_stored(channel: int) -> bool:
        return level.is_stored(tuple(channel if i == axis else 0 for i in range(len(level.leading))))

    if all(map(is_stored, chosen)):
        return chosen
    stored = [c for c in range(min(count, _MOST_CHANNELS)) if is_stored(c)]
    return tuple(stored[:3]) if len(stored) >= 3 else tuple(stored[:1]) or chosen


def _identity(path: Path, number: int, choice: Choice) -> str:
    """Return the name of the pixels: of the file, with what was chosen of it."""
    parts = [f"|series{number}"] * (number > 0) + [f"|axes{choice.axes}"] * (choice.axes is not None)
    return file_identity(path) + "".join(parts)


def _bits(page: TiffPage) -> int | None:
    """Return the number of bits of a sample, if it is below that of the type."""
    bits, dtype = page.bitspersample, np.dtype(page.dtype)
    return bits if isinstance(bits, int) and dtype.kind in "iu" and 0 < bits < 8 * dtype.itemsize else None
