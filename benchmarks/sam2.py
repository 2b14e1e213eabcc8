"""Time SAM 2 against a naive version in one run: encoding an image, and eight objects through twenty frames.

    python -m benchmarks.sam2 [--size tiny] [--side 1024] [--objects 8] [--frames 20] [--only encode track] [--quick]

Both have the same random weights, and must agree. `--side` builds the network for smaller images, where attention to
the memory takes a smaller share than at the published 1024.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks import timing
from benchmarks.naive_sam import largest_difference
from benchmarks.naive_sam2 import NaiveSam2
from src_models.networks.sam2.config import SAM2_KINDS
from src_models.networks.sam2.network import Sam2
from src_models.runtime import choose_precision
from src_models.video.frame_tracker import computing
from src_models.video.video_predictor import Sam2VideoPredictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.timing import Row

ENCODE_MAX_RATIO = 0.5
TRACK_MAX_RATIO = 0.35


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    found = timing.machine()
    timing.say(timing.describe(found))
    net = random_network(options.size, options.side)
    naive = NaiveSam2(net)
    rows: list[Row] = []
    agreement: dict[str, float] = {}
    if "encode" in options.only:
        rows += encode(net, naive, 1 if options.quick else 5, agreement)
    if "track" in options.only:
        frames = [np.roll(noise(options.side), (4 * t, 6 * t), (0, 1)) for t in range(options.frames)]
        rows += track(net, naive, frames, options.objects, agreement)
    timing.say("\n" + timing.table(rows))
    for what, value in agreement.items():
        timing.say(f"{what}: {value:.4g}")
    standard = (options.side, options.objects, options.frames, len(options.only)) == (1024, 8, 20, 2)
    path = timing.write_json("sam2", rows, found, partial=options.quick or not standard, agreement=agreement)
    timing.say(f"wrote {path}")


def random_network(size: str, side: int) -> Sam2:
    """Build a network for images of `side` pixels with random weights whose objects are present."""
    torch.manual_seed(0)
    kind = f"sam2.1_{size}"
    net = Sam2(replace(SAM2_KINDS[kind], img_size=side), kind).eval().requires_grad_(False)
    net.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += 3.0  # type: ignore[operator]
    return net


def noise(side: int) -> NDArray[np.uint8]:
    """Return a picture of random values, (side, side, 3)."""
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def encode(net: Sam2, naive: Sam2, repetitions: int, agreement: dict[str, float]) -> list[Row]:
    """Time the image encoder: naive, ours in float32, and ours as a predictor runs it."""
    image = net.preprocess(torch.from_numpy(noise(net.img_size)).permute(2, 0, 1)[None])
    auto = _auto()
    variants = {"naive": lambda: naive.embed(image), "ours": lambda: net.embed(image)}
    if auto is not torch.float32:
        variants["auto"] = lambda: _embed_in(net, image, auto)
    with torch.inference_mode():
        times, results = timing.interleave(variants, repetitions, min(1, repetitions - 1))
    agreement["embedding, largest |naive - ours|"] = largest_difference(results["naive"], results["ours"], "embedding")
    case = f"{net.kind} encode {net.img_size}x{net.img_size}"
    rows = [
        timing.row(case, "naive float32", times["naive"]),
        timing.row(case, "ours float32", times["ours"], times["naive"], max_ratio=ENCODE_MAX_RATIO),
    ]
    if "auto" in times:
        name = f"ours auto ({_name(auto)})"
        rows.append(timing.row(case, name, times["auto"], times["naive"], max_ratio=ENCODE_MAX_RATIO))
    return rows


def _auto() -> torch.dtype:
    """Return the number format that predictors choose on this machine."""
    return choose_precision("auto", torch.device("cpu"), "sam2.1_tiny")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _embed_in(net: Sam2, image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    with computing(image.device, dtype):
        return net.embed(image)


def track(
    net: Sam2, naive: Sam2, frames: Sequence[NDArray[np.uint8]], objects: int, agreement: dict[str, float]
) -> list[Row]:
    """Time objects through a video: together, and each on its own with the naive network."""
    points = [(net.img_size * (i + 0.5) / objects, net.img_size * 0.4) for i in range(objects)]

    def together() -> torch.Tensor:
        return _followed(net, frames, points)

    def alone() -> torch.Tensor:
        return torch.cat([_followed(naive, frames, [point]) for point in points])

    def in_auto() -> torch.Tensor:
        return _followed(net, frames, points, "auto")

    variants = {"naive": alone, "ours": together}
    if _auto() is not torch.float32:
        variants["auto"] = in_auto
    times, results = timing.interleave(variants, repetitions=1, warmup=0)
    agreement["masks of the last frame, share of equal pixels"] = float(
        ((results["naive"] > 0) == (results["ours"] > 0)).float().mean()
    )
    case = f"{net.kind} {objects} objects, {len(frames)} frames of {net.img_size}x{net.img_size}"
    rows = [
        timing.row(case, "naive float32, one by one", times["naive"]),
        timing.row(case, "ours float32, together", times["ours"], times["naive"], max_ratio=TRACK_MAX_RATIO),
    ]
    if "auto" in times:
        name = f"ours auto ({_name(_auto())}), together"
        rows.append(timing.row(case, name, times["auto"], times["naive"], max_ratio=TRACK_MAX_RATIO))
    return rows


def _followed(
    net: Sam2,
    frames: Sequence[NDArray[np.uint8]],
    points: Sequence[tuple[float, float]],
    precision: str = "float32",
) -> torch.Tensor:
    """Follow objects through a video; return their logits in the last frame."""
    predictor = Sam2VideoPredictor(net, frames, device="cpu", precision=precision)
    for i, point in enumerate(points):
        predictor.add_prompt(i, 0, points=[point])
    found = list(predictor.propagate())
    return found[-1].logits


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = ("tiny", "small", "base_plus", "large")
    parser.add_argument("--size", choices=sizes, default="tiny", help="size of the network (default: tiny)")
    parser.add_argument("--side", type=int, default=1024, help="side of the network's input, in pixels (default: 1024)")
    parser.add_argument("--objects", type=int, default=8, help="objects to follow (default: 8)")
    parser.add_argument("--frames", type=int, default=20, help="length of the video (default: 20)")
    parser.add_argument("--only", nargs="+", choices=("encode", "track"), default=["encode", "track"], help="one part")
    parser.add_argument("--quick", action="store_true", help="one repetition: does it run, not how fast")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
