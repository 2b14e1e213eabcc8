"""Tiles on several processes: those of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
import uuid
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from napari_sam.engine.tiling.find_tiles import TILE_ERRORS, is_a_tiles_fault, reason_of
from napari_sam.errors import CancelledError, DeviceError, SettingsError
from napari_sam.jobs.run_plan import Work, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRIES = 12  # a tile whose worker died is tried so often
_LOOK_S = 0.2
_NO_WORKERS_S = 60.0
_IN_FLIGHT = 2  # tiles handed out per thread of a worker

_worker: Worker | None = None
_worker_lock = threading.Lock()


def run_tile(work: str, name: str) -> str | None:
    """Find the objects of one tile in this process; returns why it could not be done, None if it was.

    Parameters
    ----------
    work : str
        `Work.as_json`.
    name : str
        Of the tile.
    """
    global _worker
    with _worker_lock:
        if _worker is None or _worker.work.as_json() != work:
            _worker = Worker(Work.from_json(work))
        worker = _worker
    try:
        worker.run(name)
    except TILE_ERRORS as error:
        if not is_a_tiles_fault(error):
            raise
        return reason_of(error)
    return None


def run_on_processes(
    work: Work,
    names: list[str],
    workers: int,
    done: Callable[[str, str | None], None],
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Find the objects of tiles in several processes of this machine; a process that dies is replaced.

    Parameters
    ----------
    work : Work
        What the run is.
    names : list of str
        Tiles.
    workers : int
        Number of processes.
    done : callable
        Called with a tile's name, and why it could not be done or None.
    cancelled : callable, optional
        Asked all the time.

    Raises
    ------
    CancelledError
        If `cancelled` said so.
    NapariSamError
        What would stop every tile.
    """
    todo = deque(names)
    tries = dict.fromkeys(names, 0)
    text = work.as_json()
    while todo:
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _begin, (max(1, (os.cpu_count() or 1) // workers),)
        )
        flying: dict[Future[str | None], str] = {}
        try:
            if not any(tries.values()):
                _probe(pool, workers)
            while todo or flying:
                while todo and len(flying) < _IN_FLIGHT * workers:
                    name = todo.popleft()
                    flying[pool.submit(run_tile, text, name)] = name
                finished, _ = wait(flying, _LOOK_S, FIRST_COMPLETED)
                for future in finished:
                    reason = future.result()
                    done(flying.pop(future), reason)
                if cancelled is not None and cancelled():
                    raise CancelledError("cancelled; the tiles that are done are kept")
        except BrokenProcessPool:
            for name in flying.values():  # which of them killed it is not known
                tries[name] += 1
                if tries[name] >= _TRIES:
                    done(name, f"the process that worked on it died {_TRIES} times; is there enough memory?")
                else:
                    todo.append(name)
        finally:
            pool.shutdown(cancel_futures=True)


def _probe(pool: ProcessPoolExecutor, workers: int) -> None:
    """See that processes start at all."""
    try:
        pool.submit(int).result()
    except BrokenProcessPool as error:
        raise SettingsError(
            f"workers {workers}: the processes end as soon as they start; in a script, put the call under "
            "if __name__ == '__main__':, since each process imports the script"
        ) from error


def _begin(threads: int) -> None:
    """Set up a process: it shares the processor with the others."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)


def run_on_client(
    client: Any,
    work: Work,
    names: list[str],
    done: Callable[[str, str | None], None],
    cancelled: Callable[[], bool] | None = None,
    no_workers_s: float = _NO_WORKERS_S,
) -> None:
    """Find the objects of tiles on the workers of a Dask cluster.

    Few tiles are handed out at a time. A tile whose worker died is handed out again. Where some workers have the
    resource ``GPU``, only those get tiles.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    work, names, done, cancelled
        As in `run_on_processes`.
    no_workers_s : float
        How long to wait, in seconds, when there is no worker.

    Raises
    ------
    SettingsError
        If `client` is not one.
    DeviceError
        If there is no worker for so long; tiles that are done are kept.
    CancelledError
        If `cancelled` said so.
    """
    check_client(client)
    run = _ClientRun(client, work, names, no_workers_s)
    try:
        while run.todo or run.flying:
            run.hand_out()
            run.wait()
            for name, reason in run.finished():
                done(name, reason)
            if cancelled is not None and cancelled():
                raise CancelledError("cancelled; the tiles that are done are kept")
    finally:
        run.cancel()


def check_client(client: Any) -> None:
    """Refuse what is no client of a Dask cluster; None is fine.

    Raises
    ------
    SettingsError
        If it is not, or Dask is not installed.
    """
    if client is None:
        return
    try:
        import distributed  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError("client: Dask is not installed here; pip install 'napari-sam-xl[cluster]'") from error
    if not isinstance(client, distributed.Client):
        raise SettingsError(f"client {client!r}: give a distributed.Client")


class _ClientRun:
    """Tiles on their way to the workers of a cluster and back."""

    def __init__(self, client: Any, work: Work, names: list[str], no_workers_s: float) -> None:
        self.client, self.text, self.no_workers_s = client, work.as_json(), no_workers_s
        self.todo = deque(names)
        self.tries = dict.fromkeys(names, 0)
        self.flying: dict[Any, str] = {}
        self._key = f"napari-sam-{uuid.uuid4().hex[:8]}"
        self._seen = time.monotonic()

    def hand_out(self) -> None:
        """Give tiles to workers that have few."""
        slots, resources = _slots(self.client)
        if slots:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self.no_workers_s:
            raise DeviceError(
                f"the cluster has had no worker for {self.no_workers_s:.0f} s; start some, then go on with "
                f"resume=True: {len(self.todo) + len(self.flying)} of {len(self.tries)} tiles are left"
            )
        while self.todo and len(self.flying) < _IN_FLIGHT * slots:
            name = self.todo.popleft()
            key = f"{self._key}-{name}-{self.tries[name]}"  # the scheduler remembers one that failed
            future = self.client.submit(run_tile, self.text, name, key=key, pure=False, resources=resources)
            self.flying[future] = name

    def wait(self) -> None:
        """Until a tile is done, or a little while."""
        if not self.flying:
            time.sleep(_LOOK_S)
            return
        import distributed  # noqa: PLC0415 - an extra

        wait_for: Any = distributed.wait
        with contextlib.suppress(TimeoutError):
            wait_for(list(self.flying), timeout=_LOOK_S, return_when="FIRST_COMPLETED")

    def finished(self) -> Iterator[tuple[str, str | None]]:
        """Tiles that are done, and why one could not be; those whose worker died go round again."""
        from distributed.scheduler import KilledWorker  # noqa: PLC0415 - an extra

        for future in [f for f in self.flying if f.done()]:
            name = self.flying.pop(future)
            try:
                reason = future.result()
            except KilledWorker:
                self.tries[name] += 1
                if self.tries[name] < _TRIES:
                    self.todo.append(name)
                    continue
                reason = f"the workers that worked on it died {_TRIES} times; is there enough memory?"
            yield name, reason

    def cancel(self) -> None:
        """Take back what is not done."""
        if self.flying:
            self.client.cancel(list(self.flying), force=True)


def _slots(client: Any) -> tuple[int, dict[str, float] | None]:
    """Threads of the workers that may have tiles, and the resource that they must have."""
    found = client.scheduler_info(n_workers=-1)["workers"].values()
    gpus = [w for w in found if w.get("resources", {}).get("GPU")]
    return sum(int(w["nthreads"]) for w in gpus or found), {"GPU": 1} if gpus else None
