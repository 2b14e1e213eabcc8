"""One line of progress on standard error."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL_S = 0.1  # between two writes to a terminal
_WIDTH = 78


@dataclass
class _LineState:
    """The state of standard error, which all progress lines share."""

    open: bool = False  # the last line has no line break yet
    pending: str = ""  # the latest text, if it was not written


_STATE = _LineState()


class ProgressLine:
    """A progress line that overwrites itself on a terminal; a file or pipe gets only its final state.

    Parameters
    ----------
    counted : str
        The counted things, such as "windows".
    clock : callable
        Time in seconds.
    """

    def __init__(self, counted: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._counted = counted
        self._clock = clock
        self._start: tuple[float, int] | None = None
        self._total, self._done, self._written_s = 0, 0, 0.0
        _STATE.pending = ""  # left by an earlier line

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report progress.

        Parameters
        ----------
        done, total : int
            Finished and all things. A smaller `done` or another `total` restarts the clock.
        note : str
            Text to append.
        """
        now = self._clock()
        if self._start is None or total != self._total or done < self._done:
            self._start, self._total, self._written_s = (now, done), total, 0.0
        self._done = done
        text = f"{self._counted} {done}/{total}, {100 * done // max(total, 1)} %{self._rate(now)}{note}"
        _STATE.pending = text
        terminal = sys.stderr.isatty()
        if done < total and (not terminal or now - self._written_s < _INTERVAL_S):
            return
        self._written_s, _STATE.pending = now, ""
        end = "\n" if done >= total else ""
        sys.stderr.write(f"\r{text:<{_WIDTH}}{end}" if terminal else f"{text}{end}")
        sys.stderr.flush()
        _STATE.open = not end

    def _rate(self, now: float) -> str:
        """Format things per second and the remaining time."""
        start, first = self._start or (now, self._done)
        if self._done <= first or now <= start:
            return ""
        rate = (self._done - first) / (now - start)
        left = (self._total - self._done) / rate
        return f", {rate:.3g}/s" + (f", {duration(left)} left" if left > 0 else f" in {duration(now - start)}")


def duration(seconds: float) -> str:
    """Format a time span.

    >>> duration(7.6), duration(125), duration(7300)
    ('8 s', '2 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def end_line(interrupted: bool = False) -> None:
    """End an unfinished progress line, so that the next message starts on a line of its own.

    Parameters
    ----------
    interrupted : bool
        First write the latest progress if it is still pending.
    """
    if interrupted and _STATE.pending:
        sys.stderr.write(f"\r{_STATE.pending:<{_WIDTH}}" if sys.stderr.isatty() else _STATE.pending)
        _STATE.open = True
    if _STATE.open:
        sys.stderr.write("\n")
    _STATE.open, _STATE.pending = False, ""


def interrupt_line(message: str) -> None:
    """Write a message below the progress line; the line itself may continue after it."""
    sys.stderr.write(f"\n{message}\n")
    _STATE.open = False
