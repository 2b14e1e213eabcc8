"""Label store of a stack: time and memory of objects through many planes, written, corrected, undone and repaired.

Run with ``python -m benchmarks.stack_store``. Memory must not grow with the number of planes: the last table shows the
peak of each step at all planes, and its ratio to that at a tenth of them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.labels.label_store import LabelStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_sam.engine.propagation.plane_prompts import PlanePrompt

    Mask = tuple[NDArray[np.bool_], tuple[int, int, int, int]]

_LARGEST_MB = 2000


class MovingDisc:
    """An object on all planes whose masks are drawn when they are asked for, like a propagation from disk."""

    model = "none"

    def __init__(self, planes: int, side: int) -> None:
        self.planes = range(planes)
        self.prompts: Mapping[int, PlanePrompt] = {}
        self._side, self._radius = side, side // 3
        y, x = np.mgrid[-self._radius : self._radius + 1, -self._radius : self._radius + 1]
        self._mask = y**2 + x**2 <= self._radius**2

    @property
    def scores(self) -> dict[int, float]:
        """Predicted IoU of each plane."""
        return {plane: 0.5 + plane % 7 / 20 for plane in self.planes}

    def index(self, plane: int) -> tuple[int, ...]:
        """Return the index along all leading axes."""
        return (plane,)

    def mask(self, plane: int) -> Mask:
        """Return the mask of a plane and its box."""
        y = plane % (self._side - 2 * self._radius - 1)
        return self._mask, (y, y, y + self._mask.shape[0], y + self._mask.shape[1])


def tiles(side: int, count: int, first: int) -> NDArray[np.int64]:
    """Return a label image of `count` squares in rows."""
    per_row = int(np.ceil(np.sqrt(count)))
    pitch = side // per_row
    square = np.zeros((pitch, pitch), np.int64)
    square[: pitch // 2, : pitch // 2] = 1
    ids = np.zeros(per_row**2, np.int64)
    ids[:count] = np.arange(first, first + count)
    return np.kron(ids.reshape(per_row, per_row), square)


def write_run(labels: LabelStore, planes: int, objects: int) -> None:
    """Write squares through all planes as one run."""
    run = labels.run_writer("benchmark")
    begin = run.begin({}, objects)
    pixels = tiles(labels.shape[-1], objects, begin.first_label)
    details = {begin.first_label + i: {"predicted_iou": 0.9} for i in range(objects)}
    for plane in range(planes):
        run.write(pixels, (0, 0), tile=str(plane), begin=begin, details=details, plane=(plane,))


def steps(folder: Path, planes: int, side: int, objects: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the steps, in order, each with its name."""
    with LabelStore.create(folder / "s", shape=(planes, side, side)) as labels:
        disc = MovingDisc(planes, side)
        middle = planes // 2
        mask = np.ones((64, 64), bool), (0, 0, 64, 64)
        yield "commit one object", lambda: labels.commit_planes(disc)
        yield "correct one plane", lambda: labels.commit_planes({middle: mask}, label=1)
        yield "undo the correction", labels.undo
        yield "undo the object", labels.undo
        yield "redo the object", labels.redo
        yield f"run of {objects} objects", lambda: write_run(labels, planes, objects)
        yield "undo the run", labels.undo
        yield "redo the run", labels.redo
        yield "tables", lambda: (labels.table(), labels.table(by_plane=True), labels.planes(1))
        yield "export to OME-Zarr", lambda: labels.export(folder / "e.zarr")
    yield "open", lambda: LabelStore.open(folder / "s").close()
    yield "repair", lambda: LabelStore.repair(folder / "s").close()


def measure(planes: int, side: int, objects: int) -> dict[str, tuple[float, float]]:
    """Return seconds and peak of the resident memory (MB) of each step."""
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for step, action in steps(Path(name), planes, side, objects):
            _reset_peak()
            start = time.perf_counter()
            action()
            results[step] = time.perf_counter() - start, _peak_mb()
            print(f"{planes:>5} planes  {step:<24} {results[step][0]:8.2f} s {results[step][1]:8.0f} MB", flush=True)
        journal = sum(path.stat().st_size for path in (Path(name) / "s").glob("journal.sqlite*"))
        print(f"{planes:>5} planes  journal {journal / 1e6:.1f} MB", flush=True)
    return results


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=500)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="20 planes of 512 x 512")
    args = parser.parse_args()
    planes, side = (20, 512) if args.quick else (args.planes, args.side)
    measure(2, 256, 4)  # imports pandas and scikit-image
    few, many = (measure(n, side, args.objects) for n in (planes // 10, planes))
    print(f"\n{'step':<24} {'s per plane, ratio':>20} {'MB':>8} {'MB, ratio':>10}")
    for step, (seconds, peak) in many.items():
        ratio = seconds / planes / (few[step][0] / (planes // 10))
        print(f"{step:<24} {ratio:>20.2f} {peak:>8.0f} {peak / few[step][1]:>10.2f}")
    assert max(peak for _, peak in many.values()) < _LARGEST_MB
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "stack_store.json").write_text(json.dumps({"planes": planes, "side": side, "few": few, "many": many}))
    print(f"processors: {os.cpu_count()}")


if __name__ == "__main__":
    main()
