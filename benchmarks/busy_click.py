"""Time of a click while other programs hold all cores, against the same click on an idle machine.

    python -m benchmarks.busy_click [--quick] [--rounds N] [--clicks N]

Three processes with the default model take turns, each idle and then beside as many busy processes as there are cores:
as napari-sam-xl is installed; with torch loaded before napari_sam, so that few prompts are decoded on one thread; and
with threads that spin while they wait, as OpenMP's default is and as version 0.1 was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks import timing
from src_models.thread_waiting import WAITING_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_RATIO = 4.0
"""Busy over idle: two programs that share the cores fairly give 2."""
MAX_BUSY_MS = 200.0

_SPINNING = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}  # the defaults of GNU's and of LLVM's OpenMP
_WORKER = "from benchmarks.click_worker import main; main()"
_MACHINES = ("idle", "busy")
_TURN_S = 4.0  # spinning threads can take seconds for a click


class Clicker:
    """A process that clicks on demand.

    Parameters
    ----------
    code : str
        What it runs.
    environ : mapping of str to str
        Variables added to the environment.
    """

    def __init__(self, code: str, environ: Mapping[str, str]) -> None:
        ignored = {*WAITING_VARIABLES, "OMP_NUM_THREADS"}
        clean = {name: value for name, value in os.environ.items() if name not in ignored}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**clean, **environ},
            text=True,
        )

    def __enter__(self) -> Clicker:
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def click(self, count: int, limit_s: float) -> dict[str, list[float]]:
        """Click once in a new window, then up to `count` times; return the seconds of "first" and "further" clicks."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count} {limit_s}\n")
        self._process.stdin.flush()
        answer: dict[str, list[float]] = json.loads(self._read())
        return answer

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise SystemExit(f"a clicking process ended with status {self._process.returncode}")
        return line


@contextmanager
def busy_cores() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run as many busy processes as there are cores, and end them afterwards."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    machine = timing.machine()
    timing.say(timing.describe(machine))
    variants = {
        "as installed": (_WORKER, {}),
        "torch loaded first": (f"import torch; {_WORKER}", {}),
        "spinning": (_WORKER, _SPINNING),
    }
    seconds: dict[tuple[str, str, str], list[float]] = {}
    rounds, clicks = (2, 3) if options.quick else (options.rounds, options.clicks)
    with ExitStack() as stack:
        clickers = {name: stack.enter_context(Clicker(*how)) for name, how in variants.items()}
        timing.say("measuring ...")
        for _ in range(rounds):
            for load in _MACHINES:
                with ExitStack() as around:
                    if load == "busy":
                        around.enter_context(busy_cores())
                    for name, clicker in clickers.items():
                        for kind, times in clicker.click(clicks, _TURN_S).items():
                            seconds.setdefault((name, kind, load), []).extend(times)
    rows = _rows(seconds, list(variants))
    timing.say("\n" + timing.table(rows))
    timing.say("ratio: busy over idle of the same variant")
    timing.say(f"wrote {timing.write_json('busy_click', rows, machine, partial=options.quick)}")


def _rows(seconds: Mapping[tuple[str, str, str], list[float]], variants: list[str]) -> list[timing.Row]:
    rows = []
    for kind in ("first", "further"):
        for name in variants:
            idle, busy = (timing.Timing(tuple(seconds[name, kind, load])) for load in _MACHINES)
            judged = kind == "further" and name != "spinning"
            rows.append(timing.row(f"{kind} click, idle", name, idle))
            rows.append(timing.row(f"{kind} click, busy", name, busy, idle, max_ratio=MAX_RATIO if judged else None))
            if judged:
                rows.append(timing.row(f"{kind} click, busy", name, busy, max_ms=MAX_BUSY_MS))
    return rows


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run, not how fast")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each variant, idle and busy (4)")
    parser.add_argument("--clicks", type=int, default=12, help="further clicks in each turn (12)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
