"""Picture files that do not keep their values exactly, in which a label image has further values along all outlines."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from src_models.model_errors import NapariSamError

_HEAD_BYTES = 1 << 16
_JPEG, _TIFF = b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JP2, _CODESTREAM, _CODING_STYLE = b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"\xff\x52"
_AVIF = (b"ftypavif", b"ftypavis", b"ftypheic", b"ftypmif1")
_JPEG_IN_TIFF = (6, 7, 34892)
_WEBP_IN_TIFF = 50001
_LOSSLESS_FRAME = b"\xff\xc3"
"""Marker of a lossless JPEG, as TIFFs may hold."""


def check_exact(path: Path, error: type[NapariSamError]) -> None:
    """Refuse a file of labels that does not keep their numbers; warn if that cannot be known.

    Parameters
    ----------
    path : Path
        The file; what is no picture file passes.
    error : type of NapariSamError
        What is raised if it is lossy; names the file.
    """
    kind = lossy_format(path)
    if kind is not None:
        raise error(f"{path}: {kind}, but labels must be exact", remedy="save them as TIFF or PNG")
    if path.is_file() and _head(path)[4:12] in _AVIF:
        warnings.warn(
            f"{path}: whether its labels are exact cannot be known; save them as TIFF or PNG", UserWarning, stacklevel=3
        )


def lossy_format(path: Path) -> str | None:
    """Return how a picture file loses exact values, by its content; None if it keeps them, or cannot be read."""
    try:
        head = _head(path)
        if head.startswith(_JPEG):
            return "a JPEG"
        if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            return "a lossy WebP" if _is_lossy_webp(path) else None
        if head.startswith((_JP2, _CODESTREAM)):
            return "a lossy JPEG 2000" if _is_lossy_jpeg_2000(head) else None
        return _lossy_tiff(path) if head.startswith(_TIFF) else None
    except (OSError, ValueError, IndexError, struct.error):  # damaged: reported when it is read
        return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _is_lossy_webp(path: Path) -> bool:
    """Whether a WebP file has a lossy chunk, also within the frames of an animation."""
    with path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, size = header[:4], int.from_bytes(header[4:], "little")
            if name == b"VP8 ":
                return True
            if name == b"ANMF":
                size = 16  # of a frame before its own chunks
            file.seek(size + size % 2, 1)
    return False


def _is_lossy_jpeg_2000(head: bytes) -> bool:
    """Whether the wavelet is the irreversible one."""
    start = head.find(_CODING_STYLE, max(0, head.find(_CODESTREAM)))
    return start >= 0 and head[start + 13] == 0


def _lossy_tiff(path: Path) -> str | None:
    import tifffile  # noqa: PLC0415 - slow to import

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            if page.compression not in (*_JPEG_IN_TIFF, _WEBP_IN_TIFF) or not page.databytecounts:
                return None
            tiff.filehandle.seek(page.dataoffsets[0])
            first = tiff.filehandle.read(min(page.databytecounts[0], _HEAD_BYTES))
    except (tifffile.TiffFileError, AttributeError, KeyError, TypeError):
        return None
    if page.compression == _WEBP_IN_TIFF:
        return "a TIFF of lossy WebP" if b"VP8 " in first[:64] else None
    return None if _LOSSLESS_FRAME in first[:512] else "a TIFF of JPEG"
