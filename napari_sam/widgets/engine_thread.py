"""One background thread for the engine, in which a newer job replaces an older one of its kind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    IsCancelled = Callable[[], bool]
    Job = Callable[[IsCancelled], object]


_SHOWN_AT_LATEST_S = 5.0
_SHOWN_MS = 1  # a timer of 0 ms may come before the first paint


@dataclass(frozen=True)
class Outcome:
    """Result of a job.

    Attributes
    ----------
    kind : str
        Kind of the job.
    value : object
        Return value, or None.
    error : Exception or None
        Exception that the job raised.
    milliseconds : float
        Run time.
    serial : int
        Number of the job.
    """

    kind: str
    value: object
    error: Exception | None
    milliseconds: float
    serial: int


class EngineThread(QObject):
    """Run jobs one after another outside the GUI thread.

    The first job waits for the event loop, so that the dock is shown before: Python runs one thread at a time, and the
    first job imports torch.

    A new job supersedes the earlier ones of its kind: they are asked to stop, and their results no longer count.

    Signals
    -------
    started : str
        Kind of the job that begins.
    finished : Outcome
        A job has ended; emitted in the GUI thread. `is_current` tells whether its result still counts.
    """

    started = Signal(str)
    finished = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="napari-sam")
        self._newest: dict[str, int] = {}  # serial of the newest job, or of a later cancellation
        self._submitted: dict[str, int] = {}  # serial of the newest job
        self._serial = 0
        self._pending = 0
        self._lock = threading.Lock()
        self._closed = False
        self._is_shown = threading.Event()
        QTimer.singleShot(_SHOWN_MS, self._is_shown.set)

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._pending > 0

    @property
    def closed(self) -> bool:
        """Whether the thread takes no more jobs."""
        return self._closed

    def is_current(self, outcome: Outcome) -> bool:
        """Whether a job was neither superseded nor cancelled; to be called in the GUI thread."""
        return self._newest.get(outcome.kind) == outcome.serial

    def was_superseded(self, outcome: Outcome) -> bool:
        """Whether a newer job of its kind was submitted; a job that was only cancelled still reports its errors."""
        return self._submitted.get(outcome.kind) != outcome.serial

    def submit(self, kind: str, job: Job) -> None:
        """Queue a job, and cancel the earlier ones of its kind.

        Parameters
        ----------
        kind : str
            Kind of the job.
        job : callable
            Called with a function that returns True once the job should stop.
        """
        with self._lock:
            if self._closed:
                return
            self._serial += 1
            serial = self._newest[kind] = self._submitted[kind] = self._serial
            self._pending += 1
        self._pool.submit(self._run, kind, serial, job)

    def cancel(self, kind: str | None = None) -> None:
        """Ask the jobs of a kind, or all jobs, to stop; their results no longer count."""
        with self._lock:
            for name in [kind] if kind is not None else list(self._newest):
                self._serial += 1
                self._newest[name] = self._serial

    def close(self) -> None:
        """Take no more jobs, and ask the running one to stop."""
        self.cancel()
        self._closed = True
        self._is_shown.set()
        self._pool.shutdown(wait=False)  # jobs that wait end as they begin, so that the thread is busy no longer

    def _run(self, kind: str, serial: int, job: Job) -> None:
        def is_cancelled() -> bool:
            return self._closed or self._newest.get(kind) != serial

        value: object = None
        error: Exception | None = None
        self._is_shown.wait(_SHOWN_AT_LATEST_S)  # a script may end before the window is shown
        began = time.perf_counter()
        try:
            if not is_cancelled():
                self.started.emit(kind)
                value = job(is_cancelled)
        except CancelledError:
            pass
        except Exception as raised:  # noqa: BLE001 - reported in the GUI thread
            error = raised
        finally:
            with self._lock:
                self._pending -= 1
        if not self._closed:
            self.finished.emit(Outcome(kind, value, error, 1e3 * (time.perf_counter() - began), serial))
