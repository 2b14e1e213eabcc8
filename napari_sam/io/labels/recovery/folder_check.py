"""Check the files of a label store before anything is read from it or written into it.

A store may come from somebody else. No file of it may lead out of its folder, or block whoever opens it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.changes.drawn_marks import MARK_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEEPEST = 16
_STALE_LOCK = ".__lock"


@dataclass(frozen=True)
class FolderContents:
    """What the folder of a store holds.

    Attributes
    ----------
    stale_locks : list of Path
        Files with which a process that was killed had locked a chunk file.
    """

    stale_locks: list[Path]


def check_folder(path: Path, *, writable: bool) -> FolderContents:
    """Refuse a folder with anything but plain files and folders in it.

    Parameters
    ----------
    path : Path
        Folder of the store.
    writable : bool
        Whether it will be written to. Files that are written in place must then have no second name elsewhere.

    Raises
    ------
    StoreError
        If there is a link, a device or a pipe; the message names it.
    """
    locks = []
    for entry, depth in _entries(path):
        if entry.is_symlink() or getattr(entry, "is_junction", bool)():
            raise StoreError(
                f"{entry.path}: is a link, which may lead out of the store",
                remedy="replace it by what it points to, if you know where the store comes from",
            )
        if not entry.is_file() and os.path.lexists(entry.path):
            raise StoreError(f"{entry.path}: is neither a file nor a folder", remedy="remove it from the store")
        if writable and (depth == 0 or entry.name == MARK_FILE) and _name_count(entry) > 1:
            raise StoreError(
                f"{entry.path}: the file also has a name elsewhere, where writing would change it, too",
                remedy="copy the whole folder, and open the copy",
            )
        if depth and entry.name.endswith(_STALE_LOCK):
            locks.append(path.joinpath(entry.path))
    return FolderContents(locks)


def _name_count(entry: os.DirEntry[str]) -> int:
    try:
        return os.stat(entry.path).st_nlink  # what scandir knows of a file has no count on Windows
    except FileNotFoundError:
        return 0


def _entries(path: Path) -> Iterator[tuple[os.DirEntry[str], int]]:
    """Iterate over everything below a folder but its folders, with the depth; links are not followed."""
    waiting = [(str(path), 0)]
    while waiting:
        folder, depth = waiting.pop()
        if depth > _DEEPEST:
            raise StoreError(f"{folder}: folders are nested more than {_DEEPEST} deep", remedy="remove them")
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False) and not getattr(entry, "is_junction", bool)():
                        waiting.append((entry.path, depth + 1))
                    else:
                        yield entry, depth
        except (FileNotFoundError, NotADirectoryError):
            continue  # another process has just removed it
        except OSError as error:
            raise StoreError(f"{folder}: cannot be read: {error}", remedy="check its permissions") from error
