"""Return freed memory to the operating system after large work."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE_PX = 1 << 20
"""Work on at least this many pixels leaves enough freed memory behind to be worth trimming."""


@functools.cache
def find_malloc_trim() -> Callable[[int], object] | None:
    """Return glibc's ``malloc_trim``; None with another C library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[[int], object] = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return None
    return function


def trim_heap(pixels: int, trim: Callable[[int], object] | None = find_malloc_trim()) -> None:  # noqa: B008 - cached
    """Return freed memory of large arrays to the operating system.

    The C library keeps freed memory for each thread that has allocated it; one mask of 2 500 x 2 500 pixels leaves
    200 MB that way.

    Parameters
    ----------
    pixels : int
        Size of the work; nothing is done below `LARGE_PX`.
    trim : callable, optional
        Called with 0, as glibc's ``malloc_trim``; None to do nothing.
    """
    if trim is not None and pixels >= LARGE_PX:
        trim(0)
