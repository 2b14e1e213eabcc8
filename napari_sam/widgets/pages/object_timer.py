"""Time that the user takes for an object, as it is noted in the journal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_PAUSE_S = 30.0
"""Part of a pause between two actions that counts."""


class ObjectTimer:
    """Measure the time from the last object, or the first prompt in an image, until an object is accepted.

    Of a longer pause between two actions only 30 s count: the user did something else meanwhile.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.

    Examples
    --------
    >>> times = iter([5.0, 7.0, 9.0, 999.0, 1000.0])
    >>> timer = ObjectTimer(lambda: next(times))
    >>> timer.act(), timer.act(), timer.finish(), timer.act(), timer.finish()
    (None, None, 4.0, None, 31.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None  # time of the last action
        self._spent = 0.0

    @property
    def seconds(self) -> float:
        """Seconds that the object in work has taken so far."""
        return self._spent + (0.0 if self._last is None else min(self._clock() - self._last, LONGEST_PAUSE_S))

    def act(self) -> None:
        """Note that the user has done something, such as a click."""
        now = self._clock()
        if self._last is not None:
            self._spent += min(now - self._last, LONGEST_PAUSE_S)
        self._last = now

    def finish(self) -> float:
        """Return the seconds of the object that was accepted, and begin the next one."""
        self.act()
        spent, self._spent = self._spent, 0.0
        return spent

    def forget(self) -> None:
        """Measure anew from the next action, as in another image."""
        self._last, self._spent = None, 0.0
