"""A long run in a thread of its own, beside the clicks, which take precedence in the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import StoreError
from napari_sam.widgets.engine_thread import EngineThread, Outcome

if TYPE_CHECKING:
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.widgets.engine_thread import Job

_KIND = "run"


class BackgroundRun(QObject):
    """Run one job at a time.

    Attributes
    ----------
    thread : EngineThread
        Thread of the run.
    is_running : bool
        Whether a run is under way.

    Signals
    -------
    activity_changed : str
        What the run does before its first progress.
    progressed : int, int
        Steps done, and all steps.
    finished : Outcome
        The run has ended; the value is what the job returned, or None.
    """

    activity_changed = Signal(str)
    progressed = Signal(int, int)
    finished = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.thread = EngineThread(self)
        self.is_running = False
        self._store: LabelStore | None = None
        self.thread.finished.connect(self._on_finished)

    def submit(self, job: Job, store: LabelStore | None = None) -> None:
        """Begin a run, which may write into a store."""
        self.is_running, self._store = True, store
        self.thread.submit(_KIND, job)

    def cancel(self) -> None:
        """Stop; what is finished is kept."""
        self.thread.cancel(_KIND)

    def was_cancelled(self, outcome: Outcome) -> bool:
        """Whether the run of this outcome was cancelled."""
        return not self.thread.is_current(outcome)

    def was_closed(self, outcome: Outcome) -> bool:
        """Whether a run failed only because it was cancelled and its store closed under it."""
        is_closed = self._store is not None and self._store.closed
        return is_closed and self.was_cancelled(outcome) and isinstance(outcome.error, StoreError)

    def close(self) -> None:
        """Stop for good."""
        self.thread.close()

    def _on_finished(self, outcome: Outcome) -> None:
        self.is_running = False
        self.finished.emit(outcome)
