"""Training in a process of its own: the command ``project improve``, its progress, and how it is stopped.

The process writes lines of JSON. It saves and stops when its standard input closes: at the user's wish, or because this
program has ended in whatever way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal

from napari_sam.errors import ProjectError
from napari_sam.widgets.background_run import BackgroundRun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject

_KILL_AFTER_S = 30.0  # a step and a checkpoint of a large network
_KEPT_LINES = 30  # of what is no event, for the message about an internal error
_CONTINUES = "improve the model again to continue"


@dataclass(frozen=True)
class Improved:
    """How a training ended.

    Attributes
    ----------
    version : int or None
        Number of the new version; None if the training was stopped.
    message : str
        Where it was stopped.
    """

    version: int | None
    message: str = ""


def improve_command(folder: Path, device: str, scheduler: str = "") -> list[str]:
    """Return the command line that improves the model of a project, on a Dask cluster if its address is given."""
    options = ["--scheduler", scheduler] if scheduler else ["--device", device]
    return [sys.executable, "-m", "napari_sam", "project", "improve", str(folder), *options, "--events"]


class ImproveRun(BackgroundRun):
    """Run one training at a time.

    Signals
    -------
    part_progressed : str, int, int
        Part of the work, steps done, and all steps.
    loss_measured : int, float
        Step of the training, and its loss.
    """

    part_progressed = Signal(str, int, int)
    loss_measured = Signal(int, float)

    def __init__(self) -> None:
        super().__init__()
        self._process: subprocess.Popen[str] | None = None
        self._is_stopping = False
        self._lock = threading.Lock()

    def begin(self, command: Sequence[str]) -> None:
        """Start the process of a training."""
        self._is_stopping = False
        self.submit(lambda _: self._improve(command))

    def stop(self) -> None:
        """Let the process save and stop; end it if it does not do so within half a minute."""
        with self._lock:
            self._is_stopping, process = True, self._process
        if process is not None:
            _close_input(process)

    def close(self) -> None:
        """Stop for good; the process ends by itself in a moment."""
        self.stop()
        super().close()

    def _improve(self, command: Sequence[str]) -> Improved:
        with subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),  # elsewhere the command is nice
        ) as process:
            with self._lock:
                self._process, is_stopping = process, self._is_stopping
            if is_stopping:
                _close_input(process)
            last: JsonObject = {}
            others: deque[str] = deque(maxlen=_KEPT_LINES)
            for line in process.stdout or ():
                event = _event(line)
                if event is None:
                    others.append(line)
                else:
                    last = event
                    self._report(event)
        with self._lock:
            self._process = None
        return _result(last, process.returncode, "".join(others))

    def _report(self, event: JsonObject) -> None:
        if event["event"] == "progress":
            self.part_progressed.emit(str(event["part"]), int(event["done"]), int(event["total"]))
        elif event["event"] == "loss":
            self.loss_measured.emit(int(event["step"]), float(event["loss"]))


def _close_input(process: subprocess.Popen[str]) -> None:
    """Close the standard input of a process, and kill it if it is still there after some time."""
    if process.stdin is not None and not process.stdin.closed:
        try:
            process.stdin.close()
        except OSError:  # it has just ended
            pass
        timer = threading.Timer(_KILL_AFTER_S, process.kill)  # does nothing to a process that has ended
        timer.daemon = True
        timer.start()


def _event(line: str) -> JsonObject | None:
    """Return the event in a line of output; None for what a library has printed."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _result(last: JsonObject, status: int, output: str) -> Improved:
    """Return how a process ended, from its last event; raise its error."""
    kind = last.get("event")
    if kind == "finished":
        return Improved(int(last["number"]))
    if kind == "stopped":
        return Improved(None, str(last["message"]))
    if kind == "failed":
        raise ProjectError(str(last["message"]))
    if status < 0:
        raise ProjectError(f"the training was ended by signal {-status}; what was saved is kept", remedy=_CONTINUES)
    raise RuntimeError(f"the training ended with status {status}: {output.strip() or 'no message'}")
