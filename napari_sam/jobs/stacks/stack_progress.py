"""Progress of a run over a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FIND_STEPS, _OTHER_STEPS = 18, 1  # of a plane: to segment it; to compare it, and to write it


class StackProgress:
    """Counts the steps of a run, over all its planes.

    Parameters
    ----------
    planes : int
        Number of planes.
    segmented : int
        Number of planes that are segmented already.
    progress : callable, optional
        Called with the number of steps done and of all steps.
    """

    def __init__(self, planes: int, segmented: int, progress: Callable[[int, int], None] | None) -> None:
        self._total = planes * (_FIND_STEPS + 2 * _OTHER_STEPS)
        self._done = segmented * _FIND_STEPS
        self._progress = progress

    def within_plane(self, done: int, total: int) -> None:
        """Report the steps of the plane that is being segmented."""
        self._report(self._done + _FIND_STEPS * done // max(total, 1))

    def plane_segmented(self) -> None:
        """Count a plane that is segmented, or failed."""
        self._done += _FIND_STEPS
        self._report(self._done)

    def step(self) -> None:
        """Count a plane that is compared with its neighbours, or written."""
        self._done += _OTHER_STEPS
        self._report(self._done)

    def finish(self) -> None:
        """Report that everything is done, also where planes failed."""
        self._report(self._total)

    def _report(self, done: int) -> None:
        if self._progress is not None:
            self._progress(min(done, self._total), self._total)
