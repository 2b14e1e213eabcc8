"""Write a file so that it appears whole or not at all: the one write-then-rename of the project."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary file beside `path` that takes its name on success and is deleted on failure.

    Parameters
    ----------
    path : Path
        The target. Its folder is made; a file there is replaced at the end, in one step.
    durable : bool
        Wait until the disk holds the contents before the file gets its name.

    Yields
    ------
    Path
        The temporary file to write, which does not exist yet.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some writers leave files that only their owner may read
        if durable:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a small file in one step; arguments and errors as `replacing`."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
