"""One worker at a time on a path: between processes by the operating system, between threads by us.

The operating system drops its lock when the holder dies, so that a killed download never blocks the next.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_POLL_S = 0.05
_BUSY = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})

_guard = threading.Lock()
_of_path: dict[str, threading.Lock] = {}


class FileLock:
    """An exclusive lock on a path; the empty file stays, since deleting it would race with the next holder.

    Parameters
    ----------
    path : Path
        The lock file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        # On network file systems the operating system's lock may belong to the whole process.
        with _guard:
            self._threads = _of_path.setdefault(os.path.realpath(path), threading.Lock())

    def acquire(self, while_waiting: Callable[[], None] | None = None) -> None:
        """Wait until nobody else holds the lock.

        Parameters
        ----------
        while_waiting : callable, optional
            Called every 50 ms; raises to stop waiting.

        Raises
        ------
        OSError
            If the folder is not writable, or its file system has no locks.
        """
        while not self._threads.acquire(timeout=_POLL_S):
            if while_waiting is not None:
                while_waiting()
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            while not _try_lock(self._fd):
                if while_waiting is not None:
                    while_waiting()
                time.sleep(_POLL_S)
        except BaseException:  # whatever stops the wait, give back what was taken
            self._close()
            raise

    def release(self) -> None:
        """Let the next one in."""
        if self._fd is not None:
            _unlock(self._fd)
        self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._threads.release()


if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError as err:
            if err.errno in _BUSY:
                return False
            raise
        return True

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            if err.errno in _BUSY:
                return False
            raise
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)
