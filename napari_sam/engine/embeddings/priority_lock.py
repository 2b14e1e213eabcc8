"""A lock that lets predictions run before background work."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL_S = 0.05  # how often waiting background work checks whether it was cancelled


class PriorityLock:
    """A reentrant lock with two priorities: ``with lock:`` runs before all work under `background`.

    Parameters
    ----------
    poll_s : float
        How often waiting background work checks whether it was cancelled.

    Examples
    --------
    >>> lock = PriorityLock()
    >>> with lock, lock:
    ...     lock.waiting
    0
    >>> with lock.background():
    ...     pass
    """

    def __init__(self, poll_s: float = _POLL_S) -> None:
        self._poll_s = poll_s
        self._lock = threading.RLock()
        self._state = threading.Condition()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Number of threads that wait in the foreground or pause background work."""
        with self._state:
            return self._waiting

    def __enter__(self) -> PriorityLock:
        with self.pause_background():
            self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def pause_background(self) -> Iterator[None]:
        """Let no background work start inside the context; work that has started continues."""
        with self._state:
            self._waiting += 1
        try:
            yield
        finally:
            with self._state:
                self._waiting -= 1
                self._state.notify_all()

    @contextmanager
    def background(self, cancelled: Callable[[], bool] | None = None) -> Iterator[None]:
        """Hold the lock with low priority: wait until no foreground work waits.

        Parameters
        ----------
        cancelled : callable, optional
            Called repeatedly while waiting; return True to stop.

        Raises
        ------
        CancelledError
            If `cancelled()` returned True.
        """
        while True:
            if cancelled is not None and cancelled():
                raise CancelledError("background work was cancelled")
            with self._state:
                free = self._state.wait_for(lambda: self._waiting == 0, self._poll_s)
            if not free or not self._lock.acquire(timeout=self._poll_s):
                continue
            if not self.waiting:
                break
            self._lock.release()  # foreground work arrived while the lock was acquired
        try:
            yield
        finally:
            self._lock.release()
