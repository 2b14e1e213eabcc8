"""Compare files with their published size and hash; importing this module loads no torch."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, cast

from src_models.atomic import write_bytes
from src_models.model_errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Algorithm = Literal["sha256", "xxh128"]

_CHUNK_BYTES = 1 << 20
_READ_REMEDY = "check the path and its permissions"


class Hasher(Protocol):
    """The common methods of `hashlib` and `xxhash`."""

    def update(self, data: memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the hash of the bytes so far, in lower-case hexadecimal digits."""


@dataclass(frozen=True)
class Expected:
    """Published properties of a file; None where nothing is published.

    Attributes
    ----------
    size_bytes : int or None
        Exact size.
    sha256, xxh128 : str or None
        Hash of the whole file, in lower-case hexadecimal digits. SHA-256 takes precedence.
    """

    size_bytes: int | None = None
    sha256: str | None = None
    xxh128: str | None = None

    @property
    def digest(self) -> tuple[Algorithm, str] | None:
        """The hash to check, with its algorithm."""
        if self.sha256 is not None:
            return "sha256", self.sha256
        return None if self.xxh128 is None else ("xxh128", self.xxh128)


def new_hasher(algorithm: Algorithm) -> Hasher:
    """Start a hash.

    Raises
    ------
    CheckpointError
        If it is xxh128 and the package `xxhash` is not installed.
    """
    if algorithm == "sha256":
        return hashlib.sha256()
    try:
        xxhash = import_module("xxhash")
    except ImportError as err:
        raise CheckpointError(
            "this model is published with an xxh128 hash only, which needs the package xxhash",
            remedy="install it with `pip install xxhash`",
        ) from err
    return cast("Hasher", xxhash.xxh128())


def file_digest(path: Path, algorithm: Algorithm = "sha256", on_chunk: Callable[[], None] | None = None) -> str:
    """Hash a file without holding it in memory.

    Parameters
    ----------
    path : Path
        The file.
    algorithm : {"sha256", "xxh128"}
        Hash algorithm.
    on_chunk : callable, optional
        Called after every MiB; an exception from it stops the work.

    Returns
    -------
    str
        Lower-case hexadecimal digits.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or the package for the hash is missing.
    """
    hasher = new_hasher(algorithm)
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    try:
        file = path.open("rb", buffering=0)
    except OSError as err:
        raise CheckpointError(f"cannot read {path}: {err.strerror}", remedy=_READ_REMEDY) from err
    with file:
        while count := _read_into(file, buffer, path):
            hasher.update(buffer[:count])
            if on_chunk is not None:
                on_chunk()
    return hasher.hexdigest()


def mismatch(path: Path, expected: Expected, on_chunk: Callable[[], None] | None = None) -> str | None:
    """Describe how a file differs from the published one.

    Parameters
    ----------
    path : Path
        The file.
    expected : Expected
        Published properties.
    on_chunk : callable, optional
        As in `file_digest`.

    Returns
    -------
    str or None
        A clause for a message; None if nothing differs.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or the package for the hash is missing.
    """
    if not path.is_file():
        return "it is not a file"
    size = path.stat().st_size
    if expected.size_bytes is not None and size != expected.size_bytes:
        return f"its size is {size} bytes, not {expected.size_bytes}"
    if expected.digest is None:
        return None
    algorithm, want = expected.digest
    got = file_digest(path, algorithm, on_chunk)
    return None if got == want.lower() else f"its {algorithm} {got:.8}... is not {want:.8}..."


def verify_file(path: Path, expected: Expected) -> None:
    """Check that a file is the published one.

    Raises
    ------
    CheckpointError
        If size or hash differ, or the file cannot be read.
    """
    problem = mismatch(path, expected)
    if problem is not None:
        raise CheckpointError(f"{path} is not the published file: {problem}", remedy="delete it to download again")


def check_pin(path: Path) -> None:
    """Check a file against the SHA-256 that its first verified download had, and keep it at that download.

    A file that is published without a SHA-256 is verified by a weaker hash, which can be forged. From the second time
    on it must be the file of the first time.

    Parameters
    ----------
    path : Path
        The verified file; the SHA-256 is kept beside it, in a file that ends in ``.sha256``.

    Raises
    ------
    CheckpointError
        If the file is another one than at first, or cannot be read.
    """
    pin = path.with_name(f"{path.name}.sha256")
    digest = file_digest(path)
    try:
        pinned = pin.read_text("ascii").split()[:1]
    except (OSError, ValueError):
        pinned = []
    if not pinned:
        with contextlib.suppress(OSError):  # a read-only folder: nothing can be kept
            write_bytes(pin, f"{digest}  {path.name}\n".encode())
    elif pinned[0] != digest:
        raise CheckpointError(
            f"{path} has the SHA-256 {digest}, but at its first download it had {pinned[0]}",
            remedy=f"delete it to download it again; if the publisher has replaced it, delete {pin.name} as well",
        )


class _Readable(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


def _read_into(file: _Readable, buffer: memoryview, path: Path) -> int:
    try:
        return file.readinto(buffer) or 0
    except OSError as err:  # a directory, or a disk that fails
        raise CheckpointError(f"cannot read {path}: {err.strerror}", remedy=_READ_REMEDY) from err
