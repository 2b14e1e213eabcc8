"""Fair timing: variants take turns, medians are compared, the machine is written down beside the numbers."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

RESULTS = Path(__file__).parent / "results"
BUSY_LOAD = 0.7
"""Load average of the last minute above which times are not to be trusted."""


@dataclass(frozen=True)
class Timing:
    """What one variant took.

    Attributes
    ----------
    seconds : tuple of float
        One per repetition, in order.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median, in seconds."""
        return float(np.median(self.seconds))

    @property
    def p95(self) -> float:
        """95th percentile, in seconds."""
        return float(np.percentile(self.seconds, 95))


@dataclass(frozen=True)
class Row:
    """One line of a result table.

    Attributes
    ----------
    case, variant : str
        What was done, and by which implementation.
    median_ms, p95_ms : float
        Of the repetitions.
    repetitions : int
        How many there were.
    ratio : float or None
        Median over the naive (or peer's) median of the same case.
    target : str
        The target, in words; empty if there is none.
    met : bool or None
        Whether it was met.
    """

    case: str
    variant: str
    median_ms: float
    p95_ms: float
    repetitions: int
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


def row(
    case: str,
    variant: str,
    timing: Timing,
    baseline: Timing | None = None,
    *,
    max_ratio: float | None = None,
    max_ms: float | None = None,
) -> Row:
    """Compare a timing with its baseline and its target."""
    ratio = None if baseline is None else timing.median / baseline.median
    median_ms = 1e3 * timing.median
    target, met = "", None
    if max_ratio is not None and ratio is not None:
        target, met = f"<= {max_ratio:g} x", ratio <= max_ratio
    elif max_ms is not None:
        target, met = f"<= {max_ms:g} ms", median_ms <= max_ms
    return Row(case, variant, median_ms, 1e3 * timing.p95, len(timing.seconds), ratio, target, met)


def interleave(
    variants: Mapping[str, Callable[[], Any]],
    repetitions: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, Timing], dict[str, Any]]:
    """Time variants in turns, so that a slow spell of the machine hits all of them.

    Parameters
    ----------
    variants : mapping of str to callable
        What to time.
    repetitions : int
        Timed rounds.
    warmup : int
        Rounds before them that are not timed.
    clock : callable
        Returns the time in seconds; `time.process_time` where other programs are busy and nothing waits for a disk.

    Returns
    -------
    timings : dict of str to Timing
    results : dict of str to Any
        What each variant returned last.

    Examples
    --------
    >>> timings, results = interleave({"a": lambda: 1, "b": lambda: 2}, repetitions=3)
    >>> len(timings["a"].seconds), results
    (3, {'a': 1, 'b': 2})
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    results: dict[str, Any] = {}
    for turn in range(warmup + repetitions):
        for name, function in variants.items():
            results.pop(name, None)  # the last answer's memory is free before the next is made
            start = clock()
            results[name] = function()
            if turn >= warmup:
                seconds[name].append(clock() - start)
    return {name: Timing(tuple(s)) for name, s in seconds.items()}, results


def seconds_of(function: Callable[[], Any]) -> float:
    """Call a function once and return how long it took."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Say what runs the benchmark: processor, threads, versions, and how busy it is."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "nice": os.nice(0) if hasattr(os, "nice") else None,
    }


def describe(found: Mapping[str, Any]) -> str:
    """One line about the machine, and a warning if it is busy."""
    line = (
        f"{found['processor']}, {found['cores']} cores, {found['torch_threads']} threads, "
        f"torch {found['torch']}, load {found['load_average']} before, nice {found['nice']}"
    )
    busy = found["nice"] or (found["load_average"] or 0) > BUSY_LOAD
    return line + ("\nTHE MACHINE IS BUSY: these times say nothing" if busy else "")


def table(rows: Iterable[Row]) -> str:
    """Write rows as aligned text."""
    lines = [["case", "variant", "median", "p95", "n", "ratio", "target", "met"]]
    for r in rows:
        ratio = "" if r.ratio is None else f"{r.ratio:.3f}"
        met = {None: "", True: "yes", False: "NO"}[r.met]
        times = [f"{r.median_ms:.1f} ms", f"{r.p95_ms:.1f} ms"]
        lines.append([r.case, r.variant, *times, str(r.repetitions), ratio, r.target, met])
    return align(lines)


def align(lines: Sequence[Sequence[str]]) -> str:
    r"""Align text in columns; the first line is the header.

    >>> align([["a", "bc"], ["def", "g"]])
    'a    bc\ndef  g\n'
    """
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = ("  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded) + "\n"


def write_json(name: str, rows: Iterable[Row], found: Mapping[str, Any], *, partial: bool, **more: Any) -> Path:
    """Write a result file into `RESULTS`, under another name for a `partial` run; returns its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}{'-partial' if partial else ''}.json"
    path.write_text(json.dumps({"machine": found, **more, "rows": [asdict(r) for r in rows]}, indent=1) + "\n")
    return path


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()
