"""Run a function on many tasks in several processes of this machine, and replace processes that die."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from napari_sam.errors import CancelledError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from multiprocessing.process import BaseProcess

Task = TypeVar("Task", bound="Hashable")
Result = TypeVar("Result")
HandledTask = TypeVar("HandledTask", contravariant=True)
HandledResult = TypeVar("HandledResult", contravariant=True)

ATTEMPTS = 12
"""Default number of attempts at a task whose process dies."""

TASKS_PER_WORKER = 2
"""Tasks handed out ahead, per worker."""

_STARTS = 3  # attempts to start the processes, if they are killed meanwhile
_EXIT_S = 10.0  # until a process of a broken pool has ended
_EXIT_POLL_S = 0.01
POLL_S = 0.2
"""Longest time between two checks for cancellation, seconds."""


class TaskHandler(Protocol[HandledTask, HandledResult]):
    """Receives what becomes of each task, in the thread that called the pool."""

    def on_result(self, task: HandledTask, result: HandledResult) -> None:
        """Handle the result of a task."""

    def on_abandoned(self, task: HandledTask, attempts: int) -> None:
        """Handle a task whose process died at every attempt; may raise to stop the pool."""


class TaskPool(Protocol):
    """Runs a function on tasks elsewhere: in processes of this machine or on a cluster."""

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        handler: TaskHandler[Task, Result],
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Run all tasks; see `ProcessPool.run`."""


class TaskQueue(Generic[Task]):
    """Tasks that wait, and how often each was lost.

    Parameters
    ----------
    tasks : iterable
        The tasks, hashable and each only once.
    attempts : int
        A task that was lost so often is abandoned.
    """

    def __init__(self, tasks: Iterable[Task], attempts: int) -> None:
        self.waiting = deque(tasks)
        self.total = len(self.waiting)
        self._attempts = attempts
        self._lost: dict[Task, int] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def attempt(self, task: Task) -> int:
        """Return how often a task was lost so far."""
        return self._lost.get(task, 0)

    def retry(self, task: Task) -> bool:
        """Queue a lost task again; False if all its attempts are used up."""
        self._lost[task] = self.attempt(task) + 1
        if self._lost[task] >= self._attempts:
            return False
        self.waiting.append(task)
        return True


class ProcessPool:
    """Processes on this machine, started by spawning.

    Parameters
    ----------
    workers : int
        Number of processes.
    threads : int
        Threads of torch in each process.
    attempts : int
        A task whose process died so often is abandoned.
    in_flight : int, optional
        Tasks that are handed out at a time; two per worker by default.
    initializer : callable, optional
        Called with `threads` in each new process; `limit_threads` by default.
    """

    def __init__(
        self,
        workers: int,
        *,
        threads: int = 1,
        attempts: int = ATTEMPTS,
        in_flight: int | None = None,
        initializer: Callable[[int], object] | None = None,
    ) -> None:
        self.workers = workers
        self._threads = threads
        self._attempts = attempts
        self._in_flight = TASKS_PER_WORKER * workers if in_flight is None else in_flight
        self._initializer = limit_threads if initializer is None else initializer

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        handler: TaskHandler[Task, Result],
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Run a function on all tasks.

        When a process dies, the pool starts anew and repeats the tasks that were in flight, since nothing tells which
        of them was the cause.

        Parameters
        ----------
        function : callable
            Takes a task; must be importable by the new processes.
        tasks : iterable
            Hashable, each only once.
        handler : TaskHandler
            Told of results and of abandoned tasks.
        cancelled : callable, optional
            Polled; the pool stops when it returns True.

        Raises
        ------
        SettingsError
            If processes end as soon as they start.
        CancelledError
            If `cancelled()` returned True.
        Exception
            The first exception of `function` or of `handler`.
        """
        queue = TaskQueue(tasks, self._attempts)
        in_flight: dict[Future[Result], Task] = {}
        started, failures = False, 0
        while queue:
            pool = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), self._initializer, (self._threads,)
            )
            try:
                if not started:
                    if not self._starts(pool, failures):
                        failures += 1
                        continue
                    started = True
                self._drain(pool, function, queue, in_flight, handler, cancelled)
            except BrokenProcessPool:
                for task in in_flight.values():
                    if not queue.retry(task):
                        handler.on_abandoned(task, queue.attempt(task))
                in_flight.clear()
            finally:
                pool.shutdown(cancel_futures=True)

    def _drain(
        self,
        pool: ProcessPoolExecutor,
        function: Callable[[Task], Result],
        queue: TaskQueue[Task],
        in_flight: dict[Future[Result], Task],
        handler: TaskHandler[Task, Result],
        cancelled: Callable[[], bool] | None,
    ) -> None:
        """Submit tasks and collect results until none is left."""
        while queue or in_flight:
            while queue and len(in_flight) < self._in_flight:
                task = queue.waiting[0]
                in_flight[pool.submit(function, task)] = task
                queue.waiting.popleft()  # not before: a pool that has just broken refuses the task
            finished, _ = wait(in_flight, POLL_S, FIRST_COMPLETED)
            for future in finished:
                result = future.result()
                handler.on_result(in_flight.pop(future), result)
            stop_if(cancelled)

    def _starts(self, pool: ProcessPoolExecutor, failures: int) -> bool:
        """Run an empty task; False if a process was killed while it started, which is worth another attempt.

        Raises
        ------
        SettingsError
            If processes end by themselves as soon as they start, or were killed at every attempt.
        """
        try:
            ready = pool.submit(int)
            processes = list(pool._processes.values())  # those that have ended already, too
            ready.result()
        except BrokenProcessPool as error:
            signals = {-code for code in _exit_codes(processes) if code is not None and code < 0} - {signal.SIGTERM}
            if not signals:
                raise SettingsError(
                    f"workers is {self.workers}, but the processes end as soon as they start",
                    parameter="workers",
                    remedy="in a script, put the call under if __name__ == '__main__':, since each process imports it",
                ) from error
            if failures + 1 >= _STARTS:
                raise SettingsError(
                    f"workers is {self.workers}, but the processes are killed while they start (signal {min(signals)})",
                    parameter="workers",
                    remedy="if memory is short, use fewer {workers} or a smaller model",
                ) from error
            return False
        return True


def _exit_codes(processes: Sequence[BaseProcess]) -> list[int | None]:
    """Wait until the processes of a broken pool have ended, and return their exit codes.

    `Process.join` will not do: the pool's own thread waits for the same processes, and whichever of the two the
    system answers second is told nothing until the other has noted the code.
    """
    end = time.monotonic() + _EXIT_S
    while any(process.exitcode is None for process in processes) and time.monotonic() < end:
        time.sleep(_EXIT_POLL_S)
    return [process.exitcode for process in processes]


def stop_if(cancelled: Callable[[], bool] | None) -> None:
    """Raise `CancelledError` if `cancelled()` returns True."""
    if cancelled is not None and cancelled():
        raise CancelledError("cancelled", remedy="finished work is kept; continue with {resume=True}")


def limit_threads(threads: int) -> int:
    """Set the number of torch's threads in this process; returns the earlier number."""
    import torch  # noqa: PLC0415 - slow to import

    before: int = torch.get_num_threads()
    torch.set_num_threads(threads)
    return before
