"""The bytes of an unfinished download, kept beside its target so that a later attempt can continue them."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from src_models.atomic import sync_folder
from src_models.checkpoints.web import Entity
from src_models.model_errors import DownloadError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

    from src_models.checkpoints.integrity import Expected

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_SPACE_REMEDY = "free some space, or set NAPARI_SAM_CACHE to a folder on another disk"


class PartialFile:
    """The part of a file that was transferred so far.

    Bytes are in ``<target>.part``; ``<target>.part.json`` holds the version of the file that they belong to.

    Parameters
    ----------
    target : Path
        Path of the complete file.
    url : str
        Address of the download.
    expected : Expected
        Published size and hash.
    """

    def __init__(self, target: Path, url: str, expected: Expected) -> None:
        self.path = target.with_name(target.name + ".part")
        self._target, self._url, self._expected = target, url, expected
        self._sidecar = target.with_name(target.name + ".part.json")

    @property
    def entity(self) -> Entity | None:
        """The version of the file that the bytes belong to; None if it is not known."""
        return Entity.read(self._sidecar)

    @property
    def total(self) -> int | None:
        """Size of the complete file; None if it is not known."""
        if self._expected.size_bytes is not None:
            return self._expected.size_bytes
        return None if self.entity is None else self.entity.total

    @property
    def offset(self) -> int:
        """Number of bytes that the next attempt can keep."""
        entity = self.entity
        if entity is None or entity.url != self._url or not self.path.is_file():
            return 0
        if entity.validator is None and self._expected.digest is None:
            return 0  # a changed file could not be detected
        size = self.path.stat().st_size
        return 0 if self.total is not None and size > self.total else size

    def restart(self, entity: Entity) -> None:
        """Drop all bytes, and record the version of those to come."""
        with self.disk_errors():
            self.path.write_bytes(b"")
            entity.write(self._sidecar)

    def open(self) -> FileIO:
        """Open for appending, unbuffered: written bytes survive a killed process."""
        with self.disk_errors():
            return self.path.open("ab", buffering=0)

    def discard(self) -> None:
        """Delete the bytes and their version."""
        with self.disk_errors():
            self.path.unlink(missing_ok=True)
            self._sidecar.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the complete file its name."""
        with self.disk_errors():
            os.replace(self.path, self._target)
            self._sidecar.unlink(missing_ok=True)
            sync_folder(self._target.parent)

    def require_space(self, needed_bytes: int) -> None:
        """Check that the disk can hold the rest of the file.

        Raises
        ------
        DownloadError
            If it cannot.
        """
        with self.disk_errors():
            free = shutil.disk_usage(self._target.parent).free
        if free < needed_bytes:
            raise self._disk_full(f" ({needed_bytes} bytes needed, {free} free)")

    @contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Turn errors of the file system into `DownloadError`; must not enclose network calls."""
        try:
            yield
        except NapariSamError:
            raise
        except OSError as err:
            if err.errno in _FULL:
                raise self._disk_full() from err
            problem = "is not writable" if err.errno in _FORBIDDEN else f"cannot be used ({err.strerror})"
            raise DownloadError(
                f"cannot save {self._target.name}: {self._target.parent} {problem}",
                remedy="set NAPARI_SAM_CACHE to a writable folder",
            ) from err

    def _disk_full(self, numbers: str = "") -> DownloadError:
        return DownloadError(
            f"cannot save {self._target.name}: no space left in {self._target.parent}{numbers}", remedy=_SPACE_REMEDY
        )
