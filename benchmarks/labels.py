"""Label store: time of a commit on a 100k x 100k store of 10, 10,000 and 1,000,000 objects, opening, and memory.

Run with ``python -m benchmarks.labels``; ratios are of one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.stubs import disc_prediction
from napari_sam.io.labels.label_store import LabelStore

SIDE = 100_000
_PITCH = 100  # one object per square of this side where a store is filled


def fill(labels: LabelStore, count: int) -> None:
    """Give a store many objects of 60 x 60 pixels, 1600 at a time."""
    per_side = 40
    square = np.zeros((_PITCH, _PITCH), np.int64)
    square[:60, :60] = 1
    done = 0
    blocks = SIDE // (_PITCH * per_side)
    while done < count:
        number = done // per_side**2
        ids = np.arange(done + 1, done + per_side**2 + 1).reshape(per_side, per_side)
        ids[ids > count] = 0
        y, x = number // blocks * per_side * _PITCH, number % blocks * per_side * _PITCH
        labels.paint(np.kron(ids, square), (y, x), kind="import")
        done += per_side**2


def commits(labels: LabelStore, times: int, seed: int = 0) -> list[float]:
    """Seconds of commits of a 400 px object, all over the store."""
    rng = np.random.default_rng(seed)
    seconds = []
    for _ in range(times):
        y, x = (int(v) for v in rng.integers(0, SIDE - 400, 2))
        prediction = disc_prediction((y, x), 200)
        start = time.perf_counter()
        labels.commit(prediction, overlap="replace")
        seconds.append(time.perf_counter() - start)
    return seconds


def resident_mb() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="*", default=[10, 10_000, 1_000_000])
    parser.add_argument("--commits", type=int, default=100)
    args = parser.parse_args()
    base = None
    for count in args.objects:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            with LabelStore.create(Path(folder) / "s", shape=(SIDE, SIDE)) as labels:
                fill(labels, count)
                filled = time.perf_counter() - start
            start = time.perf_counter()
            labels = LabelStore.open(Path(folder) / "s")
            opened = time.perf_counter() - start
            before = resident_mb()
            seconds = commits(labels, args.commits)
            added = resident_mb() - before
            median = statistics.median(seconds)
            base = base or median
            undo = time.perf_counter()
            labels.undo()
            undo = time.perf_counter() - undo
            start = time.perf_counter()
            rows = len(labels.table())
            table = time.perf_counter() - start
            labels.close()
        print(
            f"{count:>9} objects: commit median {median * 1e3:.1f} ms, p95 {np.percentile(seconds, 95) * 1e3:.1f} ms, "
            f"{median / base:.2f} x the first; open {opened * 1e3:.0f} ms; undo {undo * 1e3:.0f} ms; "
            f"table of {rows} rows {table:.2f} s; memory +{added:.0f} MB; filled in {filled:.0f} s"
        )


if __name__ == "__main__":
    main()
