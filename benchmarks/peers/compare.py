"""Compare with segment-anything 1.0 and micro-sam 1.8: same weights, same image, one run, taking turns.

bash benchmarks/peers/setup.sh
python -m benchmarks.peers.compare [--quick] [--only segment-anything micro-sam]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import timing
from benchmarks.fixtures import grid_points, mean_iou, random_sam, synthetic_image
from benchmarks.peers.worker_process import KEPT_MASKS, PEERS, WorkerProcess, require_environment
from src_models.checkpoints.checkpoint_files import save_official

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.timing import Row, Timing

OURS = ("ours", "ours float32")
SIDE = 1024
COUNTS = (1, 8, 64)


class Worker:
    """An implementation that encodes an image and decodes prompts; see worker.py."""

    def __init__(self, name: str, checkpoint: Path, folder: Path) -> None:
        self.process = WorkerProcess("worker.py", name, checkpoint, folder)
        self.name, self.about = name, self.process.about

    def seconds(self, what: str, given: Path, keep: str = "") -> float:
        """Time ``encode`` or ``decode`` of the contents of a file, and keep "all" masks, the "best", or none."""
        request = {"do": what, "input": str(given)}
        if keep:
            request |= {"output": str(self.process.masks_file), "best": keep == "best"}
        return float(self.process.request(request)["seconds"])

    def masks(self) -> NDArray[np.bool_]:
        """Read the masks decoded last with `keep`: (N, 3 or 1, H, W)."""
        with np.load(self.process.masks_file) as kept:
            shape = tuple(kept["shape"])
            return np.unpackbits(kept["bits"], count=int(np.prod(shape))).reshape(shape).astype(bool)


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    require_environment()
    found = timing.machine()
    timing.say(timing.describe(found))
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _inputs(Path(folder))
        for peer in options.only:
            facts[peer] = _compare(peer, checkpoint, rows, options.quick)
    timing.say("\n" + timing.table(rows))
    for peer, known in facts.items():
        timing.say(f"{peer}:")
        for what, value in known.items():
            timing.say(f"  {what}: {value}")
    partial = options.quick or len(options.only) < len(PEERS)
    path = timing.write_json("peers", rows, found, partial=partial, peers=facts)
    timing.say(f"wrote {path}")


def _inputs(folder: Path) -> Path:
    """Write weights, image and prompts; returns the checkpoint's path."""
    np.save(folder / "image.npy", synthetic_image(SIDE))
    for count in COUNTS:
        np.save(folder / f"points{count}.npy", grid_points(count, SIDE))
    checkpoint = folder / "sam_vit_b_random.pth"
    save_official(random_sam("vit_b"), checkpoint)
    return checkpoint


def _compare(peer: str, checkpoint: Path, rows: list[Row], quick: bool) -> dict[str, Any]:
    """Let a peer and ours take turns; append the rows, return versions and agreement."""
    timing.say(f"{peer} ...")
    folder = checkpoint.parent
    theirs = Worker(peer, checkpoint, folder)
    with theirs.process:
        if "error" in theirs.about:
            return {"not installable here": theirs.about["error"]}
        auto, exact = (Worker(name, checkpoint, folder) for name in OURS)
        with auto.process, exact.process:
            workers = (theirs, auto, exact)
            repetitions = {1: 2, 8: 1, 64: 1} if quick else {1: 15, 8: 7, 64: 3}
            times = _turns(workers, "encode", folder / "image.npy", 1 if quick else 2, warmup=0 if quick else 1)
            rows += _rows(f"ViT-B encode {SIDE}x{SIDE}", times)
            facts: dict[str, Any] = {w.name: w.about for w in workers}
            for count in COUNTS:
                given = folder / f"points{count}.npy"
                times = _turns(workers, "decode", given, repetitions[count], warmup=0 if quick else 1)
                rows += _rows(f"ViT-B decode {count} to {SIDE}x{SIDE} masks", times)
                masks = theirs.masks()
                for own in (auto, exact):
                    facts[f"mean IoU, {count} prompts, {own.name}"] = round(mean_iou(masks, own.masks()), 4)
    return facts


def _turns(workers: Sequence[Worker], what: str, given: Path, repetitions: int, warmup: int) -> dict[str, Timing]:
    seconds: dict[str, list[float]] = {w.name: [] for w in workers}
    for turn in range(-warmup, repetitions):
        last = turn == repetitions - 1
        for worker in workers:
            taken = worker.seconds(what, given, KEPT_MASKS[workers[0].name] if last and what == "decode" else "")
            if turn >= 0:
                seconds[worker.name].append(taken)
    return {name: timing.Timing(tuple(s)) for name, s in seconds.items()}


def _rows(case: str, times: dict[str, Timing]) -> list[Row]:
    """Ratios against the first, which is the peer."""
    base = next(iter(times))
    others = [timing.row(case, name, times[name], times[base]) for name in times if name != base]
    return [timing.row(case, base, times[base]), *others]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one repetition: does it run, not how fast")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), help="some peers only")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
