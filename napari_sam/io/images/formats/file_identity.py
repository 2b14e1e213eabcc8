"""The name of a file's content in cache keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def file_identity(path: Path) -> str:
    """Return a name of a file's content: its path, size and time of the last change."""
    stat = path.stat()
    return f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
