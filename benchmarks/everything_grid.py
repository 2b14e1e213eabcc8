"""Grid mode against segment-anything and micro-sam: same TinyViT weights, same image, each in its own process.

    bash benchmarks/peers/setup.sh
    python -m benchmarks.everything_grid [--quick] [--only grid tiled embed]

`grid` asks 32 x 32 points on 1024 x 1024 pixels, `tiled` 32 x 32 in each window of 4096 x 4096, `embed` encodes
2048 x 2048 into a cache on disk. Weights are random, but the predicted IoU is shifted so that a third of the masks
passes and the stability filter is loosened: masks are noise all over the window, the dearest case for ours. As their
boxes are all the same, non-maximum suppression is off; tests/engine/automatic/test_grid_finder.py
has it on, with the default model.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

from benchmarks import timing
from benchmarks.fixtures import random_sam, synthetic_image
from benchmarks.peers.worker_process import WorkerProcess, require_environment
from napari_sam.engine.automatic.grid_filters import point_grid
from src_models.checkpoints.checkpoint_files import save_official
from src_models.networks.point_decoder import PointDecoder
from src_models.runtime import Runner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from src_models.networks.sam import Sam

FILTERS = {
    "pred_iou_thresh": 0.88,
    "stability_score_thresh": 0.9,
    "stability_score_offset": 0.03,
    "box_nms_thresh": 1.0,
}
_PASSING = 1 / 3  # of the masks, by their predicted IoU
MATCHED_IOU, MATCHED_SHARE = 0.95, 0.98


class Worker:
    """An implementation that finds all masks of an image or encodes it; see peers/grid_worker.py."""

    def __init__(self, name: str, checkpoint: Path, folder: Path) -> None:
        self.process = WorkerProcess("grid_worker.py", name, checkpoint, folder)
        self.name, self.folder, self.runs, self.about = name, folder, 0, self.process.about

    def ask(self, what: str, image: Path, settings: dict[str, Any]) -> dict[str, Any]:
        """Run ``grid``, ``tiled`` or ``embed`` in a new folder; the answer includes the folder's size in bytes."""
        self.runs += 1
        folder = self.folder / f"{self.name.replace(' ', '-')}-{what}-{self.runs}"
        folder.mkdir()
        request = {"do": what, "image": str(image), "settings": settings, "folder": str(folder)}
        request["output"] = str(self.process.masks_file) if what == "grid" else ""
        answer = self.process.request(request)
        answer["bytes"] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        return answer

    def masks(self) -> NDArray[np.uint8]:
        """Read the masks found last: (N, bytes), one bit per pixel."""
        with np.load(self.process.masks_file) as kept:
            return np.asarray(kept["bits"])


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    require_environment()
    found = timing.machine()
    timing.say(timing.describe(found))
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "mobile_sam_random.pt"
        save_official(passing_sam(), checkpoint)
        for section in options.only:
            timing.say(f"{section} ...")
            facts[section] = SECTIONS[section](checkpoint, options)
            timing.say(json.dumps(facts[section], indent=1))
    path = timing.write_json("everything_grid", [], found, partial=options.quick, **facts)
    timing.say(f"wrote {path}")


def passing_sam() -> Sam:
    """Build a random TinyViT whose predicted IoU passes the filter for a third of the masks of the grid's image."""
    net = random_sam("vit_t")
    runner = Runner(net, "cpu", "float32")
    decoder = PointDecoder(runner.net, runner.dtype, runner.encode([synthetic_image(1024)]))
    points = torch.from_numpy(point_grid(8)[:, ::-1] * 1024.0).float()
    judged = decoder.decode_tokens(points).predicted_iou[:, 1:]
    with torch.no_grad():
        last = net.mask_decoder.iou_prediction_head.layers[-1]
        last.bias += FILTERS["pred_iou_thresh"] - judged.quantile(1 - _PASSING)
    return net


def grid(checkpoint: Path, options: argparse.Namespace) -> dict[str, Any]:
    """32 x 32 points on 1024 x 1024 pixels against segment-anything."""
    image = _image(checkpoint.parent, 1024)
    settings = {**FILTERS, "points_per_side": options.points or (8 if options.quick else 32)}
    answers = {}
    names = ("segment-anything", "ours", "ours float32")
    for name in names:
        worker = Worker(name, checkpoint, checkpoint.parent)
        with worker.process:
            answers[name] = worker.ask("grid", image, settings)
            answers[name]["masks"] = worker.masks()
    reference = answers["segment-anything"].pop("masks")
    for name in names[1:]:
        share = matched(reference, answers[name].pop("masks"))
        answers[name]["share of the reference's masks found"] = round(share, 4)
        _compare(answers[name], answers["segment-anything"])
    _judge(answers["ours"], "ratio", 0.15)
    exact = answers["ours float32"]
    exact["target"] = f"share found >= {MATCHED_SHARE}"
    exact["met"] = exact["share of the reference's masks found"] >= MATCHED_SHARE
    return {**settings, **answers}


def tiled(checkpoint: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A large image in windows of 1024 pixels against micro-sam."""
    side = 2048 if options.quick else 4096
    image = _image(checkpoint.parent, side)
    settings = {**FILTERS, "points_per_side": options.points or (4 if options.quick else 32)}
    answers = {}
    for name in ("micro-sam", "ours"):
        worker = Worker(name, checkpoint, checkpoint.parent)
        with worker.process:
            answers[name] = worker.ask("tiled", image, settings)
    _compare(answers["ours"], answers["micro-sam"])
    _judge(answers["ours"], "ratio", 0.15)
    answers["ours"]["memory target"] = "<= 0.3"
    answers["ours"]["memory met"] = answers["ours"]["peak ratio"] <= 0.3
    return {"side": side, **settings, **answers}


def embed(checkpoint: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A 2048 x 2048 image into a cache on disk, nine windows, against micro-sam."""
    image = _image(checkpoint.parent, 2048)
    tifffile.imwrite(image.with_suffix(".tif"), np.load(image), photometric="rgb", tile=(256, 256))
    answers: dict[str, list[dict[str, Any]]] = {"micro-sam": [], "ours": []}
    workers = [Worker(name, checkpoint, checkpoint.parent) for name in answers]
    with contextlib.ExitStack() as running:
        for worker in workers:
            running.enter_context(worker.process)
        for _ in range(1 if options.quick else 5):
            for worker in workers:
                answers[worker.name].append(worker.ask("embed", image, {}))
    best = {name: min(runs, key=lambda run: run["seconds"]) for name, runs in answers.items()}
    ours, theirs = best["ours"], best["micro-sam"]
    _compare(ours, theirs)
    ours["bytes ratio"] = round(ours["bytes"] / theirs["bytes"], 3)
    _judge(ours, "ratio", 0.5)
    ours["bytes met"] = ours["bytes ratio"] <= 0.5
    return dict(best)


def matched(reference: NDArray[np.uint8], found: NDArray[np.uint8]) -> float:
    """Share of packed masks that one of the others agrees with, IoU >= 0.95.

    >>> matched(np.array([[255], [1]], np.uint8), np.array([[254], [255]], np.uint8))
    0.5
    """
    if not len(reference):
        raise SystemExit("the reference found no mask: the filters do not suit these weights")
    if not len(found):
        return 0.0
    areas = np.bitwise_count(found).sum(1, dtype=np.int64)
    hits = 0
    for one in reference:
        common = np.bitwise_count(found & one).sum(1, dtype=np.int64)
        union = areas + int(np.bitwise_count(one).sum(dtype=np.int64)) - common
        hits += bool((common >= MATCHED_IOU * union).any())
    return hits / len(reference)


def _image(folder: Path, side: int) -> Path:
    path = folder / f"image{side}.npy"
    np.save(path, synthetic_image(side))
    return path


def _compare(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    ours["ratio"] = round(ours["seconds"] / theirs["seconds"], 4)
    ours["ratio of processor time"] = round(ours["processor seconds"] / theirs["processor seconds"], 4)
    ours["peak ratio"] = round(ours["peak"] / max(theirs["peak"], 1), 4)


def _judge(answer: dict[str, Any], what: str, most: float) -> None:
    answer["target"], answer["met"] = f"{what} <= {most:g}", answer[what] <= most


SECTIONS = {"grid": grid, "tiled": tiled, "embed": embed}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few points, a smaller image: does it run, not how fast")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="some sections only")
    parser.add_argument("--points", type=int, help="points per side; 32, or few with --quick")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
