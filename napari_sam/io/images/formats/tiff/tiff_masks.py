"""What masks a TIFF: its alpha channel, its mask directories, and the mask file of GDAL beside an image."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari_sam.io.images.formats.masked_level import PlaneMask, SampleMask, shows_transparency
from napari_sam.io.images.formats.tiff.tiff_level import TiffFiles, TiffLevel
from napari_sam.io.images.formats.tiff.tiff_series import is_mask
from napari_sam.io.images.read_errors import READ_ERRORS
from src_models.alpha_channel import alpha_sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tifffile import TiffFile, TiffPage, TiffPageSeries

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.images.level_protocols import LevelArray


def internal_mask(tiff: TiffFile, number: int, files: TiffFiles) -> PlaneMask | None:
    """Return the mask directories of a series with a single plane; None without any."""
    series = tiff.series[number]
    if len(series.pages) > 1:
        return None
    size = _size(series)
    candidates = [s for s in tiff.series if s is not series and is_mask(s) and len(s.pages) == 1]
    whole = next((s for s in candidates if _size(s) == size), None)
    if whole is None:
        return None
    reduced = whole.levels[1:] or [s for s in candidates if _size(s) < size]
    return PlaneMask([TiffLevel(level, files) for level in (whole, *reduced)])


def mask_file(path: Path) -> Path:
    """Return the address of GDAL's mask file of an image, whether it exists or not."""
    return path.with_name(f"{path.name}.msk")


def external_mask(path: Path, image: Image) -> PlaneMask | None:
    """Return the mask that GDAL keeps in a file beside an image; None without such a file, or one that is not used.

    A file that is damaged or of another size, such as that of an image that was replaced by a crop, is not used; a note
    of the image names it.

    Parameters
    ----------
    path : Path
        Path of the image.
    image : Image
        The image, which receives the note.
    """
    file = mask_file(path)
    if not file.is_file():
        return None
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    try:
        tiff = tifffile.TiffFile(file)
        weakref.finalize(tiff, tiff.filehandle.close)
        series, files = tiff.series[0], TiffFiles()
        reduced = series.levels[1:] or [s for s in tiff.series[1:] if is_mask(s) and _size(s) < _size(series)]
        levels = [TiffLevel(level, files) for level in (series, *reduced)]
    except (tifffile.TiffFileError, IndexError, *READ_ERRORS) as error:
        image.notes += (f"its mask {file.name} is not used: it cannot be read ({error})",)
        return None
    if not series.axes.upper().startswith("YX") or tuple(series.shape[:2]) != tuple(image.shape):
        image.notes += (f"its mask {file.name} is not used: its shape {tuple(series.shape)} is not {image.shape}",)
        return None
    return PlaneMask(levels)


def alpha_masks(levels: Sequence[LevelArray], axes: str, page: TiffPage) -> list[SampleMask | None]:
    """Return the alpha channel of each stored level as a mask; None if the page declares none that looks like one."""
    alpha = alpha_sample(page) if "s" in axes else None
    if alpha is None or not shows_transparency(levels[-1], axes, alpha):
        return [None] * len(levels)
    return [SampleMask(level, alpha) for level in levels]


def _size(series: TiffPageSeries) -> tuple[int, int]:
    sizes = dict(zip(series.axes.upper(), series.shape, strict=False))
    return int(sizes.get("Y", 0)), int(sizes.get("X", 0))
