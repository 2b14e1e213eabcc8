"""Images, or label stores, that the words of a user stand for: files, URLs, patterns and folders."""

from __future__ import annotations

import glob
from pathlib import Path

from napari_sam.errors import ImageError
from napari_sam.io.labels.store_access import JOURNAL_FILE

_OTHER_SUFFIXES = (".zarr", ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp")  # of images, besides TIFF
_ZARR_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def expand_inputs(pattern: str, *, stores: bool = False) -> list[str]:
    """Return the images (or label stores) that a path, a URL, a pattern or a folder stands for, sorted.

    Parameters
    ----------
    pattern : str
        A path or URL, which is returned as it is; a pattern such as ``*.tif``; or a folder, which stands for what is in
        it.
    stores : bool
        Look for label stores in folders, instead of images.

    Raises
    ------
    ImageError
        If a pattern or a folder holds nothing.
    """
    path = Path(pattern).expanduser()
    if "://" in pattern or path.is_file():
        return [pattern]
    if path.is_dir():
        if any((path / name).is_file() for name in _ZARR_FILES) or path.suffix == ".zarr":
            return [str(path)]
        inputs = sorted(str(entry) for entry in path.iterdir() if _is_input(entry, stores))
        if not inputs:
            kind = "label store" if stores else "image"
            raise ImageError(f"{pattern}: the folder holds no {kind}", remedy="give another folder, or the files")
        return inputs
    if glob.has_magic(pattern):
        inputs = sorted(
            entry
            for entry in glob.glob(str(path), recursive=True)
            if Path(entry).is_file() or _is_input(Path(entry), stores)
        )
        if not inputs:
            raise ImageError(f"{pattern}: no file has such a name", remedy="check the pattern")
        return inputs
    return [pattern]  # the command reports that it does not exist


def _is_input(entry: Path, stores: bool) -> bool:
    """Whether an entry of a folder is an image (or a label store); hidden files are not."""
    from napari_sam.io.images.formats.tiff.tiff_image import TIFF_SUFFIXES  # noqa: PLC0415 - starts quickly

    if entry.name.startswith(".") or entry.suffix.lower() not in (*TIFF_SUFFIXES, *_OTHER_SUFFIXES):
        return False
    return (entry / JOURNAL_FILE).is_file() == stores if entry.is_dir() else not stores
