"""Which series of a TIFF is the picture, its scale levels, and the files of a set that are missing."""

from __future__ import annotations

import re
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import ImageError
from napari_sam.io.images.formats.tiff.tiff_colour import MASK

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_ASIDE = re.compile(r"(thumbnail|label|macro|map|overview|preview|barcode)(\s*image)?", re.IGNORECASE)
_LISTED = 5
_TRANSPARENCY = 4  # bit of the subfile type


def open_pages(path: Path) -> tuple[TiffFile, tuple[str, ...]]:
    """Open the directory of a TIFF, and return it with what to tell the user about it.

    OME-XML that lacks a size or the order of its planes does not keep its pages from being read one by one.

    Parameters
    ----------
    path : Path
        The file.
    """
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    tiff = _opened(path)
    if not tiff.is_ome:
        return tiff, ()
    try:
        list(tiff.series)
    except (KeyError, tifffile.TiffFileError) as error:
        lacks = f" lacks {error.args[0]}" if isinstance(error, KeyError) and error.args else " cannot be used"
        return _opened(path, is_ome=False), (f"its OME metadata{lacks}: opened as a plain TIFF",)
    return tiff, ()


def _opened(path: Path, **flags: bool) -> TiffFile:
    """Open a TIFF that is closed when nothing refers to it any more."""
    import tifffile  # noqa: PLC0415 - keeps the import of this module fast

    tiff = tifffile.TiffFile(path, **flags)
    weakref.finalize(tiff, tiff.filehandle.close)  # with the image, or after an error
    return tiff


def choose_series(tiff: TiffFile, number: int | None) -> tuple[int, tuple[str, ...]]:
    """Return the number of the series to open, and what to tell the user about the others.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The file.
    number : int or None
        What the user chose; None for the largest series that is not a label, macro, thumbnail, reduced copy or mask.

    Raises
    ------
    ImageError
        If there is no series of this number.
    """
    series = list(tiff.series)
    if not series:
        raise ImageError(f"{tiff.filename}: a TIFF without any picture", remedy="check that the file is complete")
    if number is not None:
        if not 0 <= number < len(series):
            raise ImageError(
                f"series is {number}; {tiff.filename} has series 0 to {len(series) - 1}",
                parameter="series",
                remedy="choose one of them",
            )
        return number, ()
    pictures = [i for i, s in enumerate(series) if not _is_aside(s)] or list(range(len(series)))
    chosen = max(pictures, key=lambda i: (_area(series[i]), -i))
    if chosen == 0 and len(pictures) == 1:
        return chosen, ()
    others = [_described(i, s) for i, s in enumerate(series) if i != chosen and not _is_reduced_copy(s, series[chosen])]
    if not others:
        return chosen, ()
    more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
    note = f"opened {_described(chosen, series[chosen])}; the file also has {', '.join(others[:_LISTED])}{more}"
    return chosen, (f"{note}: choose with {{series}}",)


def levels_of(tiff: TiffFile, number: int) -> list[TiffPageSeries]:
    """Return the levels of a series, followed by the series of its reduced copies."""
    first = tiff.series[number]
    if len(first.levels) > 1:
        return list(first.levels)
    levels = [first]
    for other in tiff.series[number + 1 :]:
        if is_mask(other):
            continue
        if not _is_reduced_copy(other, levels[-1]):
            break
        levels.append(other)
    return levels


def missing_files(tiff: TiffFile) -> list[str]:
    """Return the names of files that an OME-TIFF refers to and that are not beside it.

    A single file that was renamed refers to its old name; that is not missing if all of its pages are there.
    """
    if not tiff.is_ome or not tiff.ome_metadata:
        return []
    names = dict.fromkeys(re.findall(r"""<UUID[^>]*\bFileName\s*=\s*["']([^"']+)["']""", tiff.ome_metadata))
    folder = Path(tiff.filehandle.dirname)
    return [name for name in names if not (folder / Path(name.replace("\\", "/")).name).exists()]


def _area(series: TiffPageSeries) -> int:
    sizes = dict(zip(series.axes.lower(), series.shape, strict=False))
    return int(sizes.get("y", 0)) * int(sizes.get("x", 0))


def is_mask(series: TiffPageSeries) -> bool:
    """Return whether a series is the mask of another."""
    page = series.keyframe
    return bool(page.subfiletype & _TRANSPARENCY) or page.photometric == MASK


def _is_aside(series: TiffPageSeries) -> bool:
    return bool(_ASIDE.fullmatch(series.name.strip())) or bool(series.keyframe.is_reduced) or is_mask(series)


def _is_reduced_copy(other: TiffPageSeries, finer: TiffPageSeries) -> bool:
    same = other.axes == finer.axes and other.dtype == finer.dtype and len(other.shape) == len(finer.shape)
    smaller = same and all(n <= m for n, m in zip(other.shape, finer.shape, strict=True))
    return smaller and bool(other.keyframe.is_reduced)


def _described(number: int, series: TiffPageSeries) -> str:
    sizes = dict(zip(series.axes.lower(), series.shape, strict=False))
    name = f" {series.name!r}" if series.name else ""
    return f"series {number}{name} of {sizes.get('y', 0)} x {sizes.get('x', 0)} px"
