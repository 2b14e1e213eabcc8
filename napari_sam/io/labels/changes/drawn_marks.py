"""Marks in the pixels that tell up to which entry of the journal's log they are drawn.

A journal that has lost its last changes, with a write-ahead log that was torn, damaged or deleted, is sound in itself.
Only the pixels know that there was more.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.rows import LogMark

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MARK_FILE = ".drawn"
_BYTES = 96  # always the same length, so that it is written in place


def write_marks(folders: Iterable[Path], mark: LogMark) -> None:
    """Mark scale levels as drawn up to an entry; a mark that cannot be written stays as it was, which is safe.

    Parameters
    ----------
    folders : iterable of Path
        Folders of the levels.
    mark : LogMark
        The entry.
    """
    text = f"{mark.seq} {mark.op} {mark.action} {mark.time!r}"
    data = f"{text} {zlib.crc32(text.encode()):08x}".ljust(_BYTES - 1).encode() + b"\n"
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    for folder in folders:
        with contextlib.suppress(OSError):
            handle = os.open(folder / MARK_FILE, flags, 0o666)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)


def read_mark(folder: Path) -> LogMark | None:
    """Return the mark of a level; None if it has none, or a damaged one."""
    try:
        with (folder / MARK_FILE).open("rb") as file:
            text, check = file.read(2 * _BYTES).decode().strip().rsplit(" ", 1)
        if int(check, 16) != zlib.crc32(text.encode()):
            return None
        seq, op, action, time = text.split(" ")
        return LogMark(int(seq), int(op), action, float(time))
    except (OSError, ValueError):
        return None
