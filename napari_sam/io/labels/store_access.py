"""Access to an open label store: one writer, one change at a time, not after closing and not in a forked process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_sam.errors import StoreError, StoreLockedError
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOURNAL_FILE = "journal.sqlite"
CONCEPTS_FOLDER = ".concepts"
"""Folder inside a store with the concepts of its searches, by which these can be repeated."""
_LOCK, _HOLDER = "writer.lock", "writer.json"


class WriterLock:
    """Exclusive lock on a store, across threads and processes.

    The operating system releases it when the process ends.

    Parameters
    ----------
    path : Path
        Folder of the store, which `check_folder` has checked.

    Attributes
    ----------
    ended_uncleanly : bool
        Whether the last process that wrote to the store did not close it.

    Raises
    ------
    StoreLockedError
        If the lock is held already; the message names the process that holds it.
    StoreError
        If the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        lock = FileLock(path / _LOCK, timeout=0, thread_local=False, preserve_lock_file=True)
        try:
            lock.acquire()
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
            self.ended_uncleanly = (path / _HOLDER).exists()
            write_json(path / _HOLDER, holder, durable=False)  # replaces the file, whatever other names it has
        except Timeout:
            raise _locked(path) from None
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error}", remedy="open it with mode 'r', or make it writable"
            ) from error
        self._release = weakref.finalize(self, _release, lock, path / _HOLDER, holder)

    def release(self) -> None:
        """Release the lock."""
        self._release()


class StoreAccess:
    """Guard of one open label store.

    Parameters
    ----------
    path : Path
        Folder of the store.
    writable : bool
        Take the writer's lock.

    Raises
    ------
    StoreLockedError, StoreError
        As `WriterLock`.
    """

    def __init__(self, path: Path, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self.closed = False
        self._pid = os.getpid()
        self._mutex = threading.RLock()
        self._lock = WriterLock(path) if writable else None
        self._journal_file = _file_id(path / JOURNAL_FILE)

    @property
    def ended_uncleanly(self) -> bool:
        """Whether the last process that wrote to the store did not close it."""
        return self._lock is not None and self._lock.ended_uncleanly

    @property
    def in_opening_process(self) -> bool:
        """Whether this process opened the store; a forked child must not touch its parent's files."""
        return self._pid == os.getpid()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Block other threads from changing the store."""
        with self._mutex:
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Block other threads during one change.

        Raises
        ------
        StoreError
            If the store is closed, open for reading, was opened by the parent of a forked process, or is no longer
            where it was opened.
        """
        with self._mutex:
            if self.closed:
                raise StoreError(f"{self.path}: the store is closed", remedy="open it again")
            if not self.in_opening_process:
                raise StoreError(
                    f"{self.path}: was opened by process {self._pid}, of which this is a fork",
                    remedy="open it in this process",
                )
            if not self.writable:
                raise StoreError(f"{self.path}: opened for reading", remedy='use LabelStore.open(path, "r+")')
            self.check_place()
            yield

    def check_place(self) -> None:
        """Raise `StoreError` if the folder was moved, replaced or deleted since the store was opened."""
        if _file_id(self.path / JOURNAL_FILE) != self._journal_file:
            raise StoreError(
                f"{self.path}: the folder was moved, replaced or deleted while it was open",
                remedy="close this store, and open it where it is now",
            )

    def close(self) -> None:
        """Release the lock; nothing can be written afterwards."""
        self.closed = True
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file whatever its name is; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _release(lock: FileLock, note: Path, holder: dict[str, object]) -> None:
    """Release a lock; a forked child leaves it to its parent."""
    if holder["pid"] == os.getpid():
        with contextlib.suppress(OSError, ValueError):
            if json.loads(note.read_text()) == holder:  # else the folder was moved, and this is another one
                note.unlink()
        lock.release(force=True)


def _locked(path: Path) -> StoreLockedError:
    """Return the error that names the process that writes to a store."""
    who, remedy = "another process", "close it there, or open it with mode 'r'"
    with contextlib.suppress(OSError, ValueError, KeyError):
        holder = json.loads((path / _HOLDER).read_text())
        is_own = holder["pid"] == os.getpid() and holder["host"] == socket.gethostname()
        who = "this process" if is_own else f"process {holder['pid']} on {holder['host']}"
        who += f", since {holder['since']},"
        if is_own:
            remedy = "use the store that is open (such as report.labels), or close() that one first"
    return StoreLockedError(f"{path}: {who} writes to it", remedy=remedy)
