"""Linking: stitching by the largest overlap against the assignment with gaps, on true planes with objects left out.

    python -m benchmarks.linking [--stacks ../shared/stacks] [--memory]

Each plane of the truth is numbered afresh, separate pieces apart, and a share of its objects is left out, as a model
misses them. Then the planes are linked again. ``--memory`` tracks movies of 80 and of 240 frames, each in a process of
its own, and prints their largest memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from scipy import ndimage

from napari_sam.engine.linking.link_frames import link_frames
from napari_sam.engine.linking.link_planes import link_planes
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.engine.linking.stack_tables import stack_tables
from napari_sam.evaluation.metrics.stacks.tracking_scores import TrackingComparison
from napari_sam.io.tracks.track_table import make_tracks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_sam.engine.linking.plane_objects import Links, PlaneObjects

RESULT = Path(__file__).parent / "results" / "linking.json"
SHARES = (0.0, 0.05, 0.1, 0.2)
SEEDS = 3
VOLUME_METHODS = {
    "stitching, IoU 0.25": PlaneLinking("greedy", min_overlap=0.25),
    "stitching, IoU 0.4": PlaneLinking("greedy"),
    "assignment, no gaps": PlaneLinking(max_gap=0),
    "assignment": PlaneLinking(),
}
MOVIE_METHODS = {"stitching, IoU 0.25": VOLUME_METHODS["stitching, IoU 0.25"], "laptrack": FrameLinking()}
MEMORY_WORKER = """
import resource, sys, tempfile, numpy as np
from napari_sam.predictor import Predictor
from tests.jobs.stacks.bright_stack import StackSegmenter, stack
from napari_sam.engine.linking.link_settings import FrameLinking
count = int(sys.argv[1])
rng = np.random.default_rng(0)
discs = [(*rng.uniform(30, 482, 2), 9) for _ in range(20)]
movie = np.lib.stride_tricks.as_strided(one := stack([discs], 512), (count, 512, 512), (0, 512, 1))
with tempfile.TemporaryDirectory() as folder:
    StackSegmenter(FrameLinking, "t")(movie, Predictor(device="cpu"), folder + "/o.ome.zarr", side=256).labels.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def imperfect(truth: np.ndarray, share: float, seed: int) -> list[np.ndarray]:
    """Number the pieces of each plane afresh, and leave out a share of them."""
    rng = np.random.default_rng(seed)
    planes = []
    for plane in truth:
        pieces, count = np.zeros(plane.shape, np.int64), 0
        for label in np.unique(plane[plane > 0]):
            part, n = ndimage.label(plane == label)
            pieces[part > 0] = part[part > 0] + count
            count += n
        numbers = np.concatenate([[0], rng.permutation(count) + 1])
        numbers[1:][rng.random(count) < share] = 0
        planes.append(numbers[pieces])
    return planes


def linked(planes: list[np.ndarray], objects: list[PlaneObjects], links: Links) -> np.ndarray:
    """Draw the planes with the numbers of the linked objects."""
    drawn = np.zeros((len(planes), *planes[0].shape), np.int64)
    for out, plane, table in zip(drawn, planes, objects, strict=True):
        numbers = np.zeros(int(plane.max()) + 1, np.int64)
        numbers[table.labels] = links.numbers[table.plane]
        out[:] = numbers[plane]
    return drawn


def mean_iou(truth: np.ndarray, found: np.ndarray) -> float:
    """Mean over the true objects of the largest 3-D IoU with a found one."""
    span = int(found.max()) + 1
    keys, shared = np.unique(truth.astype(np.int64) * span + found, return_counts=True)
    true, predicted = np.divmod(keys, span)
    union = np.bincount(truth.ravel())[true] + np.bincount(found.ravel())[predicted] - shared
    iou = np.where((true > 0) & (predicted > 0), shared / union, 0)
    best = np.zeros(int(truth.max()) + 1)
    np.maximum.at(best, true, iou)
    return float(best[np.unique(truth[truth > 0])].mean())


def tracking(truth: np.ndarray, found: np.ndarray, parents: dict[int, int]) -> tuple[float, float]:
    """TRA and LNK of the Cell Tracking Challenge."""
    true, predicted = make_tracks(_frames_of(truth), {}), make_tracks(_frames_of(found), parents)
    comparison = TrackingComparison(true, predicted)
    for frame in range(len(truth)):
        comparison.add(true.relabel(truth[frame], frame), predicted.relabel(found[frame], frame))
    scores = comparison.scores()
    return scores.tra, scores.lnk


def _frames_of(labels: np.ndarray) -> dict[int, list[int]]:
    frames: dict[int, list[int]] = {}
    for frame, plane in enumerate(labels):
        for label in np.unique(plane[plane > 0]).tolist():
            frames.setdefault(label, []).append(frame)
    return frames


def volume_rows(truth: np.ndarray, name: str) -> Iterator[dict[str, object]]:
    """Yield the mean 3-D IoU of each method and share."""
    for share in SHARES:
        scores: dict[str, list[float]] = {method: [] for method in VOLUME_METHODS}
        for seed in range(SEEDS):
            planes = imperfect(truth, share, seed)
            objects, overlaps = stack_tables(planes, 1)
            for method, settings in VOLUME_METHODS.items():
                scores[method].append(
                    mean_iou(truth, linked(planes, objects, link_planes(objects, overlaps, settings)))
                )
        yield {"data": name, "left out": share, **{m: round(float(np.mean(s)), 3) for m, s in scores.items()}}


def movie_rows(truth: np.ndarray, name: str) -> Iterator[dict[str, object]]:
    """Yield TRA and LNK of each method and share."""
    for share in SHARES:
        scores: dict[str, list[tuple[float, float]]] = {method: [] for method in MOVIE_METHODS}
        for seed in range(SEEDS):
            planes = imperfect(truth, share, seed)
            objects, overlaps = stack_tables(planes, 1)
            for method, settings in MOVIE_METHODS.items():
                if isinstance(settings, FrameLinking):
                    links = link_frames(objects, overlaps, settings)
                else:
                    links = link_planes(objects, overlaps, settings)
                scores[method].append(tracking(truth, linked(planes, objects, links), links.parents))
        means = {m: [round(float(v), 3) for v in np.mean(s, axis=0)] for m, s in scores.items()}
        yield {"data": name, "left out": share, **means}


def memory(counts: Iterable[int] = (80, 240)) -> dict[str, float]:
    """Return the largest memory of tracking, MiB, by number of frames."""
    peaks = {}
    for count in counts:
        command = [sys.executable, "-c", MEMORY_WORKER, str(count)]
        done = subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True)
        peaks[str(count)] = round(int(done.stdout.split()[-1]) / 1024, 1)
    return peaks


def main() -> None:
    """Print the tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=Path, default=Path("../shared/stacks"))
    parser.add_argument("--memory", action="store_true")
    args = parser.parse_args()
    result: dict[str, object] = {}
    rows = []
    for folder, of in (("volumes", volume_rows), ("tracks", movie_rows)):
        for path in sorted(args.stacks.glob(f"{folder}/dev/*.labels.tif")):
            for line in of(tifffile.imread(path), path.name.removesuffix(".labels.tif")):
                rows.append(line)
                print(line, flush=True)
    result["rows"] = rows
    if args.memory:
        result["memory_mib"] = memory()
        print(result["memory_mib"])
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
