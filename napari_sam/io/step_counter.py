"""Progress of a long task: count steps, report them, stop on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

RESUME = "the same call resumes it"


class StepCounter:
    """Count the steps of a task, report every thousandth part of it, and stop when cancelled.

    Parameters
    ----------
    report : callable or None
        Called with steps done and their total.
    cancelled : callable or None
        Called by `check`; the task stops if it returns True.
    task : str
        Name of the task in the message of a cancellation.
    consequence : str
        What a cancellation means, the end of that message.
    total : int
        Number of steps, if known already.

    Examples
    --------
    >>> counter = StepCounter(lambda done, total: print(f"{done}/{total}"), None, total=2)
    >>> counter.step()
    1/2
    """

    def __init__(
        self,
        report: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
        *,
        task: str = "task",
        consequence: str = "nothing was written",
        total: int = 0,
    ) -> None:
        self._report, self._cancelled = report, cancelled
        self._task, self._consequence = task, consequence
        self._done, self._total, self._reported = 0, total, -1

    def begin(self, total: int) -> None:
        """Set the number of steps."""
        self._total = total

    def check(self) -> None:
        """Stop if the task was cancelled.

        Raises
        ------
        CancelledError
            If `cancelled` returns True.
        """
        if self._cancelled is not None and self._cancelled():
            raise CancelledError(f"{self._task} stopped at step {self._done} of {self._total}; {self._consequence}")

    def step(self) -> None:
        """Count one finished step."""
        self._done += 1
        part = 1000 * self._done // max(self._total, 1)
        if self._report is not None and part != self._reported:
            self._reported = part
            self._report(self._done, self._total)
