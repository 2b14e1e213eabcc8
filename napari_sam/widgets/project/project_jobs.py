"""Short jobs of the page "Project", one after another outside the GUI thread: the folder may be on a slow drive."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sam.widgets.engine_thread import EngineThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.widgets.engine_thread import Job, Outcome
    from napari_sam.widgets.notifier import DockNotifier


class ProjectJobs(QObject):
    """Run jobs and pass their results to the GUI thread; errors are notifications.

    Parameters
    ----------
    notifier : DockNotifier
        Receiver of errors.

    Signals
    -------
    changed
        A job has ended.
    """

    changed = Signal()

    def __init__(self, notifier: DockNotifier) -> None:
        super().__init__()
        self._notifier = notifier
        self._thread = EngineThread(self)
        self._serial = itertools.count()
        self._done: dict[str, tuple[Callable[[Any], None], Callable[[Any], None] | None]] = {}
        self._thread.finished.connect(self._on_finished)

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._thread.busy

    def queue(self, job: Job, done: Callable[[Any], None]) -> None:
        """Run a job after those before it; `done` takes what it returned, unless that is None."""
        self.replace(f"job {next(self._serial)}", job, done)

    def replace(
        self, kind: str, job: Job, done: Callable[[Any], None], drop: Callable[[Any], None] | None = None
    ) -> None:
        """Run a job in place of an earlier one of its kind, whose result goes to `drop`."""
        self._done[kind] = done, drop
        self._thread.submit(kind, job)

    def cancel(self, kind: str) -> None:
        """Drop the job of a kind that runs or waits."""
        self._thread.cancel(kind)

    def close(self) -> None:
        """Run no more jobs."""
        self._thread.close()

    def _on_finished(self, outcome: Outcome) -> None:
        done, drop = self._done[outcome.kind]
        if not self._thread.is_current(outcome):
            if drop is not None and outcome.value is not None:
                drop(outcome.value)
            return
        del self._done[outcome.kind]
        if outcome.error is not None:
            self._notifier.failure(outcome.error)
        elif outcome.value is not None:
            done(outcome.value)
        self.changed.emit()
