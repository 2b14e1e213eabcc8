"""Run a function on many tasks with the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any, Generic

from napari_sam.engine.cluster.dask_client import check_client, free_threads
from napari_sam.errors import DeviceError
from napari_sam.jobs.process_pool import ATTEMPTS, POLL_S, TASKS_PER_WORKER, Result, Task, TaskQueue, stop_if

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam.jobs.process_pool import TaskHandler

_NO_WORKERS_S = 60.0
_RESULT_S = 5.0  # how long to wait at first for the result of a finished task; doubled when that is too short


class DaskPool:
    """Workers of a Dask cluster; a `TaskPool`.

    Few tasks are handed out at a time. A task whose worker died is handed out again. If some workers have the resource
    ``GPU``, only those get tasks.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    attempts : int
        A task whose worker died so often is abandoned.
    no_workers_s : float
        How long to wait for a worker, in seconds, if there is none.

    Raises
    ------
    SettingsError
        If `client` is not a client, or Dask is not installed.
    """

    def __init__(self, client: Any, *, attempts: int = ATTEMPTS, no_workers_s: float = _NO_WORKERS_S) -> None:
        check_client(client)
        self._client = client
        self._attempts = attempts
        self._no_workers_s = no_workers_s

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        handler: TaskHandler[Task, Result],
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Run a function on all tasks; arguments as in `ProcessPool.run`.

        Raises
        ------
        DeviceError
            If the cluster has no worker for too long; the remaining tasks are not run.
        CancelledError
            If `cancelled()` returned True.
        Exception
            The first exception of `function` or of `handler`.
        """
        run = _ClusterRun(self._client, function, TaskQueue(tasks, self._attempts), self._no_workers_s)
        try:
            while run.queue or run.in_flight:
                run.submit()
                run.wait()
                for task, result in run.finished(handler):
                    handler.on_result(task, result)
                stop_if(cancelled)
        finally:
            run.cancel()


class _ClusterRun(Generic[Task, Result]):
    """Tasks that wait and tasks that are on the workers."""

    def __init__(
        self, client: Any, function: Callable[[Task], Result], queue: TaskQueue[Task], no_workers_s: float
    ) -> None:
        self._client, self._function, self._no_workers_s = client, function, no_workers_s
        self.queue = queue
        self.in_flight: dict[Any, Task] = {}
        self._key = f"napari-sam-{uuid.uuid4().hex[:8]}"
        self._workers_seen = time.monotonic()
        self._result_s = _RESULT_S

    def submit(self) -> None:
        """Hand out tasks to workers that have few."""
        threads, resources = free_threads(self._client)
        if threads:
            self._workers_seen = time.monotonic()
        elif time.monotonic() - self._workers_seen > self._no_workers_s:
            left = len(self.queue) + len(self.in_flight)
            raise DeviceError(
                f"the cluster has had no worker for {self._no_workers_s:.0f} s; "
                f"{left} of {self.queue.total} tasks are left",
                remedy="start workers, then continue with {resume=True}",
            )
        while self.queue and len(self.in_flight) < TASKS_PER_WORKER * threads:
            task = self.queue.waiting.popleft()
            # The scheduler remembers a key that failed, so each attempt has its own.
            key = f"{self._key}-{task}-{self.queue.attempt(task)}"
            future = self._client.submit(self._function, task, key=key, pure=False, resources=resources)
            self.in_flight[future] = task

    def wait(self) -> None:
        """Wait until a task is finished, but not for long."""
        if not self.in_flight:
            time.sleep(POLL_S)
            return
        import distributed  # noqa: PLC0415 - an extra

        wait_for: Callable[..., object] = distributed.wait
        with contextlib.suppress(TimeoutError), self._client.as_current():  # it need not be the default client
            wait_for(list(self.in_flight), timeout=POLL_S, return_when="FIRST_COMPLETED")

    def finished(self, handler: TaskHandler[Task, Result]) -> Iterator[tuple[Task, Result]]:
        """Yield finished tasks with their results; queue those again whose worker died."""
        from distributed.scheduler import KilledWorker  # noqa: PLC0415 - an extra

        for future in [f for f in self.in_flight if f.done()]:
            task = self.in_flight.pop(future)
            try:
                result = future.result(timeout=self._result_s)
            except TimeoutError:
                if future.status == "error":
                    raise
                # The worker that held the result may have left: Dask then runs the task again once it has a worker,
                # and until then a result without a timeout would be waited for in vain.
                self.in_flight[future] = task
                self._result_s *= 2
                return
            except KilledWorker:
                if not self.queue.retry(task):
                    handler.on_abandoned(task, self.queue.attempt(task))
                continue
            yield task, result

    def cancel(self) -> None:
        """Cancel the tasks that are on the workers."""
        if self.in_flight:
            self._client.cancel(list(self.in_flight), force=True)
