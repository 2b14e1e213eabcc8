"""Time the networks against a naive SAM in one run: encoders, and one to 64 prompts to full-resolution masks.

    python -m benchmarks.networks [--quick] [--only vit_b vit_t default decode]

Weights are random: the arithmetic does not depend on them, but masks of random networks are noise all over
the window, the dearest case for `Predictor`, which enlarges only where there is foreground.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import timing
from benchmarks.fixtures import (
    full_masks,
    grid_points,
    mean_iou,
    random_embedding,
    random_sam,
    synthetic_image,
)
from benchmarks.naive_sam import NaiveSam, check_decoder, largest_difference
from napari_sam import Predictor
from src_models.runtime import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmarks.timing import Row
    from src_models.networks.sam import Sam

SIDE = 1024
ENCODE_MAX_RATIO = 0.4
MANY_MAX_RATIO = 0.2
ONE_MAX_MS = 30.0


@dataclass
class Report:
    """What one section found: rows of the table, and how far naive and ours agree."""

    rows: list[Row] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    found = timing.machine()
    timing.say(timing.describe(found))
    report = Report()
    for name in options.only:
        SECTIONS[name](report, options.quick)
    timing.say("\n" + timing.table(report.rows))
    for what, value in report.agreement.items():
        timing.say(f"{what}: {value:.4g}")
    partial = options.quick or len(options.only) < len(SECTIONS)
    path = timing.write_json("networks", report.rows, found, partial=partial, agreement=report.agreement)
    timing.say(f"wrote {path}")


def encode_vit_b(report: Report, quick: bool) -> None:
    """Time ViT-B's encoder, naive, ours and ours in float32; find what bfloat16 does to the masks."""
    timing.say("ViT-B encoder ...")
    image, net = synthetic_image(SIDE), random_sam("vit_b")
    naive, auto, exact = _naive(net), Runner(net, "cpu"), Runner(net, "cpu", "float32")
    variants = {
        "naive float32": lambda: naive.encode(image),
        f"ours auto ({_name(auto)})": lambda: auto.encode([image]),
        "ours float32": lambda: exact.encode([image]),
    }
    times, embeddings = timing.interleave(variants, 1 if quick else 5, warmup=0 if quick else 1)
    case = f"ViT-B encode {SIDE}x{SIDE}"
    base, ours, ours_exact = times
    report.rows += [
        timing.row(case, base, times[base]),
        timing.row(case, ours, times[ours], times[base], max_ratio=ENCODE_MAX_RATIO),
        timing.row(case, ours_exact, times[ours_exact], times[base]),
    ]
    report.agreement["ViT-B embedding, largest |naive - ours float32|"] = largest_difference(
        embeddings[base], embeddings[ours_exact], "embedding"
    )
    points = grid_points(8, SIDE)
    predictor = _predictor(net, "auto", image, embeddings[ours])
    report.agreement["image to masks, mean IoU of naive float32 and ours auto"] = mean_iou(
        naive.masks(embeddings[base], points, (SIDE, SIDE)), _masks(predictor, points)
    )


def encode_vit_t(report: Report, quick: bool) -> None:
    """Time MobileSAM's encoder, ours only."""
    timing.say("TinyViT encoder ...")
    image, net = synthetic_image(SIDE), random_sam("vit_t")
    _encode_ours(report, f"TinyViT encode {SIDE}x{SIDE}", net, image, quick)


def encode_default(report: Report, quick: bool) -> None:
    """Time the default model: its encoder alone, and a whole 1024 x 1024 image through `Predictor`."""
    timing.say("default model ...")
    predictor = Predictor("default", device="cpu")
    small, large = synthetic_image(predictor.img_size), synthetic_image(SIDE)
    net = predictor.runner.net
    _encode_ours(report, f"default encode {predictor.img_size}x{predictor.img_size}", net, small, quick)

    def whole() -> None:
        predictor.cache.clear()
        predictor.set_image(large)
        predictor.predict(points=[(SIDE / 2, SIDE / 2)])

    times, _ = timing.interleave({"ours auto": whole}, 3 if quick else 15)
    case = f"default, {SIDE}x{SIDE} image: set_image and first point"
    report.rows.append(timing.row(case, "ours auto", times["ours auto"]))


def decode(report: Report, quick: bool) -> None:
    """Time 1, 8 and 64 one-point prompts on an embedded 1024 x 1024 image, to full-resolution masks."""
    timing.say("ViT-B decoder ...")
    image, net, embedding = synthetic_image(SIDE), random_sam("vit_b"), random_embedding()
    naive = _naive(net)
    predictors = {p: _predictor(net, p, image, embedding) for p in ("auto", "float32")}
    logits, predicted_iou = check_decoder(naive, predictors["float32"].runner, embedding)
    report.agreement["low-res logits, largest |naive - ours float32|"] = logits
    report.agreement["predicted IoU, largest |naive - ours float32|"] = predicted_iou
    for count, repetitions in ((1, 3), (8, 2), (64, 1)) if quick else ((1, 20), (8, 9), (64, 5)):
        points = grid_points(count, SIDE)
        variants: dict[str, Callable[[], Any]] = {
            "naive float32": lambda points=points: naive.masks(embedding, points, (SIDE, SIDE))
        }
        for precision, predictor in predictors.items():
            name = f"ours {precision}" + (f" ({_name(predictor.runner)})" if precision == "auto" else "")
            variants[name] = lambda predictor=predictor, points=points: _predict(predictor, points)
        times, results = timing.interleave(variants, repetitions, warmup=0 if count == 64 and quick else 1)
        report.rows += _decode_rows(count, times)
        base, ours = list(results)[:2]
        report.agreement[f"{count} prompts, mean IoU of naive float32 and ours auto"] = mean_iou(
            results[base], full_masks(results[ours], (SIDE, SIDE))
        )


def _decode_rows(count: int, times: dict[str, timing.Timing]) -> list[Row]:
    case = f"ViT-B decode {count} prompt{'s' * (count > 1)} to {SIDE}x{SIDE} masks"
    base, ours, exact = times
    max_ratio = MANY_MAX_RATIO if count == 64 else None
    max_ms = ONE_MAX_MS if count == 1 else None
    return [
        timing.row(case, base, times[base]),
        timing.row(case, ours, times[ours], times[base], max_ratio=max_ratio, max_ms=max_ms),
        timing.row(case, exact, times[exact], times[base]),
    ]


def _encode_ours(report: Report, case: str, net: Sam, image: NDArray[np.uint8], quick: bool) -> None:
    runners = [Runner(net, "cpu"), Runner(net, "cpu", "float32")]
    names = [f"ours auto ({_name(runners[0])})", "ours float32"]
    variants = {name: lambda runner=runner: runner.encode([image]) for name, runner in zip(names, runners, strict=True)}
    times, _ = timing.interleave(variants, 2 if quick else 11)
    report.rows += [timing.row(case, name, times[name]) for name in names]


def _naive(net: Sam) -> NaiveSam:
    """Build the naive network with the weights of `net`."""
    naive = NaiveSam()
    naive.load_state_dict(net.state_dict())
    return naive


def _predictor(net: Sam, precision: str, image: NDArray[np.uint8], embedding: Tensor) -> Predictor:
    """Build a predictor that holds `embedding` as that of `image`."""
    predictor = Predictor(net, device="cpu", precision=precision)
    predictor.set_image(image)
    encode = predictor.runner.encode
    predictor.runner.encode = lambda images: embedding.to(predictor.runner.dtype)  # type: ignore[method-assign]
    predictor.embed(predictor.window_for(points=[(0, 0)]))
    predictor.runner.encode = encode  # type: ignore[method-assign]
    return predictor


def _predict(predictor: Predictor, points: NDArray[np.float64]) -> list[Any]:
    """Segment one object per point, as a user asks for one or for many."""
    if len(points) == 1:
        return [predictor.predict(points=points)]
    return predictor.predict_many([{"points": [point]} for point in points])


def _masks(predictor: Predictor, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return full_masks(_predict(predictor, points), (SIDE, SIDE))


def _name(runner: Runner) -> str:
    return str(runner.dtype).removeprefix("torch.")


SECTIONS: dict[str, Callable[[Report, bool], None]] = {
    "vit_b": encode_vit_b,
    "vit_t": encode_vit_t,
    "default": encode_default,
    "decode": decode,
}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run, not how fast")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="some sections only")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
