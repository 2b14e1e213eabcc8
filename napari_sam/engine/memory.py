"""Give memory back after large work."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

LARGE_PX = 1 << 20
"""Work on more pixels than these leaves enough behind to be worth giving back."""


def give_back(pixels: int) -> None:
    """Hand what large arrays have left behind to the operating system.

    The C library keeps freed memory for each thread that has worked; one mask of 2 500 x 2 500 pixels leaves 200 MB
    so, of which nothing is in use.

    Parameters
    ----------
    pixels : int
        How large the work was; nothing is done below `LARGE_PX`, nor where the C library cannot.
    """
    trim = _trim()
    if pixels >= LARGE_PX and trim is not None:
        trim(0)


@functools.cache
def _trim() -> Any:
    """Glibc's ``malloc_trim``, or None."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):  # another C library
        return None
