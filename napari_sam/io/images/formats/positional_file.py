"""A file that many threads read at the same time."""

from __future__ import annotations

import os
import threading
import weakref


class PositionalFile:
    """A file read at given offsets, by many threads at the same time.

    Parameters
    ----------
    path : str
        Path of the file, which is open as long as this object exists.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._opened = self._state()
        weakref.finalize(self, os.close, self._descriptor)
        self._lock = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly `size` bytes.

        Raises
        ------
        OSError
            If the file is shorter, was changed since it was opened, or is gone.
        """
        self._check()
        parts, missing = [], size
        while missing > 0:
            part = self._read_some(offset + size - missing, missing)
            if not part:
                raise OSError(f"the file ends at byte {offset + size - missing}, {missing} bytes early")
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target`; raises as `read`."""
        self._check()
        if hasattr(os, "preadv") and os.preadv(self._descriptor, [target], offset) == target.nbytes:
            return
        target.cast("B")[:] = self.read(offset, target.nbytes)

    def size(self) -> int:
        """Return the current size of the file in bytes."""
        return os.fstat(self._descriptor).st_size

    def _check(self) -> None:
        if self._state() != self._opened:
            raise OSError("the file was changed since it was opened; open it again")

    def _state(self) -> tuple[int, int]:
        stat = os.fstat(self._descriptor)
        return stat.st_size, stat.st_mtime_ns

    def _read_some(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, offset)
        with self._lock:  # Windows has no positional read
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, size)
