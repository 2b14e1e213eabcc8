"""Functions that the tests run in other processes; this module imports little, so that they start quickly."""

import os
import signal
import time
from pathlib import Path


def start_quickly(threads):
    """Initialise a process without importing torch."""


def kill_at_start(folder, times, threads):
    """Kill the first processes while they start."""
    for n in range(times):
        try:
            (Path(folder) / f"start-{n}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


def kill_process_ten_times(folder, task):
    """Kill the process of the first ten calls, counted by files in a folder; later calls succeed."""
    for n in range(10):
        try:
            (Path(folder) / f"death-{n}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(folder) / f"done-{task}").touch()
    return "bad chunk" if task == "bad" else None


def kill_process(task):
    """Kill the process at every call of one task."""
    if task == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return task.upper()


def wait_a_little(task):
    """Return after 0.15 s."""
    time.sleep(0.15)


def fail(task):
    """Raise an error."""
    raise ValueError(f"{task} is wrong")


def time_out(task):
    """Raise a timeout."""
    raise TimeoutError(f"{task} took too long")


def leave_worker_name(folder, task):
    """Leave a file with the name of the Dask worker that ran the task."""
    from distributed import get_worker

    (Path(folder) / f"on-{get_worker().name}-{task}").touch()


class Collected:
    """A `TaskHandler` that keeps what it is told."""

    def __init__(self, on_result=None):
        self.results, self.abandoned, self._on_result = {}, {}, on_result

    def on_result(self, task, result):
        self.results[task] = result
        if self._on_result is not None:
            self._on_result()

    def on_abandoned(self, task, attempts):
        self.abandoned[task] = attempts
