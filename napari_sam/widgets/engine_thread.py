"""One background thread for the engine; of each kind of work only the newest counts."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes
    ----------
    kind : str
        Of the job.
    value : object
        What it returned, or None.
    error : BaseException or None
        What it raised.
    milliseconds : float
        How long it ran.
    serial : int
        Number of the job.
    """

    kind: str
    value: Any
    error: BaseException | None
    milliseconds: float
    serial: int


class EngineThread(QObject):
    """Run jobs one after another off the GUI thread.

    A job is superseded by the next one of its kind: it is asked to stop, and its result is dropped.

    Signals
    -------
    started : str
        Kind of the job that begins.
    finished : Outcome
        A job has ended; emitted in the GUI thread. Ask `is_current` whether its result still counts.
    """

    started = Signal(str)
    finished = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="napari-sam")
        self._newest: dict[str, int] = {}
        self._serial = 0
        self._pending = 0
        self._lock = threading.Lock()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return self._pending > 0

    def is_current(self, outcome: Outcome) -> bool:
        """Whether a job was neither superseded nor cancelled since; asked in the GUI thread."""
        return self._newest.get(outcome.kind) == outcome.serial

    def submit(self, kind: str, job: Callable[[Callable[[], bool]], Any]) -> None:
        """Queue a job, and drop the earlier ones of its kind.

        Parameters
        ----------
        kind : str
            Jobs of one kind supersede each other.
        job : callable
            Called with a function that tells whether to stop.
        """
        with self._lock:
            if self._closed:
                return
            self._serial += 1
            serial = self._newest[kind] = self._serial
            self._pending += 1
        self._pool.submit(self._run, kind, serial, job)

    def cancel(self, kind: str | None = None) -> None:
        """Ask jobs of a kind, or all, to stop; their results are dropped."""
        with self._lock:
            for name in [kind] if kind is not None else list(self._newest):
                self._serial += 1
                self._newest[name] = self._serial

    def close(self) -> None:
        """Stop for good; a job that runs ends by itself."""
        self.cancel()
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, kind: str, serial: int, job: Callable[[Callable[[], bool]], Any]) -> None:
        def stale() -> bool:
            return self._closed or self._newest.get(kind) != serial

        value: Any = None
        error: BaseException | None = None
        began = time.perf_counter()
        try:
            if not stale():
                self.started.emit(kind)
                value = job(stale)
        except CancelledError:
            pass
        except Exception as caught:  # noqa: BLE001 - raised again in the GUI thread, where napari reports it
            error = caught
        finally:
            with self._lock:
                self._pending -= 1
        if not self._closed:
            self.finished.emit(Outcome(kind, value, error, 1e3 * (time.perf_counter() - began), serial))
