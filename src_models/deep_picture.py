"""Pictures of more than 8 bits per sample that Pillow would reduce to 8: PNG, JPEG 2000, AVIF and PPM."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    CheckSize = Callable[[Path, int, int], None]

_HEAD_BYTES = 1 << 16
_PNG, _JP2, _CODESTREAM = b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
_PNM = re.compile(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
_PNG_GREY = 0
_SGI = b"\x01\xda"


def read_deep_picture(path: Path, check_size: CheckSize) -> NDArray[np.generic] | None:
    """Return the pixels (h, w[, c]) of a picture that needs more than 8 bits; None for all others.

    Parameters
    ----------
    path : Path
        The file.
    check_size : callable
        Called with path, height and width before anything is decoded; raises an error if they are too large.

    Raises
    ------
    ValueError, RuntimeError
        If it is damaged, or of a kind that the decoder does not support.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_PNG) and len(head) > 26:
        width, height, depth, colours = struct.unpack_from(">IIBB", head, 16)
        return (
            _decoded(path, "png_decode", (height, width), check_size) if depth == 16 and colours != _PNG_GREY else None
        )
    if head.startswith((_JP2, _CODESTREAM)):
        return _decoded(path, "jpeg2k_decode", _jpeg_2000_shape(head), check_size)
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        pixels = _decoded(path, "avif_decode", (0, 0), check_size)
        return pixels if pixels.dtype.itemsize > 1 else None
    if head.startswith(_SGI) and head[3] > 1:
        raise ValueError("SGI of 16 bits per sample")
    match = _PNM.match(head)
    if match is not None and int(match[4]) > 255:
        return _portable_anymap(path, match, check_size)
    return None


def _decoded(path: Path, decoder: str, shape: tuple[int, int], check_size: CheckSize) -> NDArray[np.generic]:
    import imagecodecs  # noqa: PLC0415 - slow to import

    check_size(path, *shape)
    pixels: NDArray[np.generic] = getattr(imagecodecs, decoder)(path.read_bytes())
    return pixels


def _jpeg_2000_shape(head: bytes) -> tuple[int, int]:
    """Return the height and width in the header of a JPEG 2000 codestream."""
    start = head.find(_CODESTREAM)
    if start < 0 or len(head) < start + 40:
        raise ValueError("no JPEG 2000 codestream in the first 64 KiB")
    right, bottom, left, top = struct.unpack_from(">IIII", head, start + 8)
    return bottom - top, right - left


def _portable_anymap(path: Path, header: re.Match[bytes], check_size: CheckSize) -> NDArray[np.generic]:
    """Return the pixels of a binary PGM or PPM with two bytes per sample."""
    width, height, samples = int(header[2]), int(header[3]), 3 if header[1] == b"6" else 1
    check_size(path, height, width)
    data = path.read_bytes()[header.end() :]
    if len(data) < 2 * width * height * samples:
        raise ValueError(f"{len(data)} bytes of pixels instead of {2 * width * height * samples}")
    pixels = np.frombuffer(data, ">u2", width * height * samples).astype(np.uint16)
    return pixels.reshape((height, width) if samples == 1 else (height, width, samples))
