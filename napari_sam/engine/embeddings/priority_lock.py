"""Whose turn it is: a click overtakes whatever works ahead of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOOK_S = 0.05  # while waiting, background work asks this often whether it is still wanted


class Turns:
    """A reentrant lock with two classes: who enters by ``with turns:`` comes before all `background` work.

    Examples
    --------
    >>> turns = Turns()
    >>> with turns, turns:
    ...     turns.wanted
    False
    >>> with turns.background():
    ...     pass
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._state = threading.Condition()
        self._waiting = 0

    @property
    def wanted(self) -> bool:
        """Whether somebody waits in the foreground, or holds background work back."""
        with self._state:
            return self._waiting > 0

    def __enter__(self) -> Turns:
        with self.hold():
            self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let no background work begin in here; what has begun goes on."""
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
        """Work when nobody in the foreground wants to.

        Parameters
        ----------
        cancelled : callable, optional
            Asked while waiting.

        Raises
        ------
        CancelledError
            If `cancelled` said so.
        """
        while True:
            if cancelled is not None and cancelled():
                raise CancelledError("background work was cancelled")
            with self._state:
                free = self._state.wait_for(lambda: self._waiting == 0, _LOOK_S)
            if not free or not self._lock.acquire(timeout=_LOOK_S):
                continue
            if not self.wanted:
                break
            self._lock.release()  # somebody came in between
        try:
            yield
        finally:
            self._lock.release()
