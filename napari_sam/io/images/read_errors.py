"""Errors that reading pixels of damaged or missing files raises, and the message the user gets instead."""

from __future__ import annotations

import re
import struct
import zlib

from napari_sam.errors import ImageError

_UNSUPPORTED = re.compile(
    r"not supported|unsupported|not implemented|requires the .* package|unknown (codec|compression)|not registered",
    re.IGNORECASE,
)
READ_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,  # also imagecodecs' errors, NotImplementedError and RecursionError
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    EOFError,
    AttributeError,
    struct.error,
    zlib.error,
)


def read_error(name: str, level: int, error: BaseException) -> ImageError:
    """Return the error for a failed read.

    Parameters
    ----------
    name : str
        Name of the image.
    level : int
        Scale level that was read.
    error : BaseException
        One of `READ_ERRORS`.
    """
    text = str(error) or type(error).__name__
    subject = f"{name}: scale level {level}"
    if isinstance(error, MemoryError):
        return ImageError(f"{subject}: not enough memory", remedy="read a smaller region or a coarser level")
    if isinstance(error, ConnectionError | TimeoutError | FileNotFoundError):
        return ImageError(
            f"{subject} cannot be reached: {text}", remedy="check that the file exists and the network is up"
        )
    if isinstance(error, NotImplementedError) or _UNSUPPORTED.search(text):
        return ImageError(
            f"{subject} is stored in a way that is not supported: {text}",
            remedy="convert it to OME-Zarr or tiled TIFF with the program that wrote it",
        )
    return ImageError(
        f"{subject} cannot be read: {text}",
        remedy="if the file still exists, it is damaged: copy it again, or open another level",
    )
