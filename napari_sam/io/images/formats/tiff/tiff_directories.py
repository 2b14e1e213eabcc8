"""The chain of directories in a TIFF, walked before a library parses it: bounded in length and variety."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_PAGES = 500_000
_MOST_KINDS = 500  # pages that differ are compared with each other, which takes the square of their number
_SEEN_ENTRIES = 3  # the first ones: type of page, width, height


def check_directories(path: Path) -> None:
    """Refuse a TIFF whose directories would take minutes to read.

    Raises
    ------
    ValueError
        If it has too many pages, too many pages of different sizes, or its chain of directories leads back.
    OSError
        If it cannot be read.
    """
    kinds: set[bytes] = set()
    seen: set[int] = set()
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        for offset, entries in _directories(descriptor):
            if offset in seen:
                raise ValueError(f"its chain of directories leads back to byte {offset}")
            seen.add(offset)
            kinds.add(entries)
            if len(seen) > _MOST_PAGES:
                raise ValueError(f"more than {_MOST_PAGES} pages")
            if len(kinds) > _MOST_KINDS:
                raise ValueError(f"more than {_MOST_KINDS} pages of different sizes")
    finally:
        os.close(descriptor)


def _directories(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """Iterate over offset and first entries of the directories; ends where the chain ends or leaves the file."""
    head = _read(descriptor, 16, 0)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return
    is_big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
    if is_big and len(head) < 16:
        return
    count, link = ("Q", "Q") if is_big else ("H", "I")
    count_size, entry_size, link_size = (8, 20, 8) if is_big else (2, 12, 4)
    offset = struct.unpack_from(f"{order}{link}", head, 8 if is_big else 4)[0]
    while offset:
        start = _read(descriptor, count_size + _SEEN_ENTRIES * entry_size, offset)
        if len(start) < count_size:
            return
        number = struct.unpack_from(f"{order}{count}", start)[0]
        yield offset, start[count_size:]
        following = _read(descriptor, link_size, offset + count_size + number * entry_size)
        offset = struct.unpack(f"{order}{link}", following)[0] if len(following) == link_size else 0


def _read(descriptor: int, size: int, offset: int) -> bytes:
    """Return up to `size` bytes; none beyond the largest offset of a file."""
    if offset >= 1 << 62:
        return b""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows
    return os.read(descriptor, size)
