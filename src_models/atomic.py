"""Write a file so that it appears complete or not at all: the only write-then-rename of the project."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its name on success and is deleted on failure.

    Parameters
    ----------
    path : Path
        The target. Its folder is made; a file there is replaced at the end, in one step.
    durable : bool
        Wait until the disk holds the contents before the file gets its name, and the name afterwards, so that a
        power cut leaves the old file or the new one.

    Yields
    ------
    Path
        The temporary path, which does not exist yet. Write a file there, or make a folder, which `path` must not be
        yet.

    Raises
    ------
    OSError
        If the file cannot be written, or `path` is a device or a pipe, which must not be replaced.
    """
    _refuse_special(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_file():
            temporary.chmod(0o666 & ~_umask())  # some writers leave files that only their owner may read
            if durable:
                with temporary.open("r+b") as file:
                    os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a small file in one step; arguments and errors as `replacing`."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, content: object, *, durable: bool = True) -> None:
    """Write a small JSON file in one step; arguments and errors as `replacing`."""
    write_bytes(path, json.dumps(content, indent=1).encode(), durable=durable)


def sync_folder(folder: Path) -> None:
    """Wait until the disk holds the names in a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _refuse_special(path: Path) -> None:
    """Refuse what is neither a file nor a folder nor a link; a link is replaced, what it points to is not."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise FileExistsError(errno.EEXIST, "a device or a pipe, not a regular file", str(path))


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
