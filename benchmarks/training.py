"""Training steps per second, and the share of the machine's matrix peak that they use.

    python -m benchmarks.training [--device auto] [--steps 12] [--quick]

Work is counted by torch's FLOP counter on one step (matrix products and convolutions, forward and backward), the
peak by the fastest of several large bfloat16 matrix products in the same run. Crops are drawn before the clock starts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import timing
from src_models.runtime import choose_device
from src_models.training.config import TrainConfig
from src_models.training.trainer import Trainer


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    device = choose_device(options.device)
    found = timing.machine()
    timing.say(timing.describe(found))
    peak = matrix_peak(device, 1024 if options.quick else 4096)
    timing.say(f"bfloat16 matrix peak of {device}: {peak / 1e12:.2f} TFLOP/s")
    timing.say(f"{'case':<34}{'steps/s':>9}{'images/s':>10}{'TFLOP/step':>12}{'of peak':>9}")
    for name, config in cases(options.quick).items():
        rate, work = measure(config, device, options.steps)
        images = config.batch * rate
        timing.say(f"{name:<34}{rate:>9.2f}{images:>10.1f}{work / 1e12:>12.3f}{work * rate / peak:>9.1%}")


def cases(quick: bool) -> dict[str, TrainConfig]:
    common = {"start": "", "picture_every": 0, "synthetic_weight": 1.0, "steps": 1000}
    if quick:
        return {"default, 1 x 64 px": TrainConfig(batch=1, objects=1, crop_px=64, **common)}
    return {
        "default, quick, 6 x 256 px x 4": TrainConfig(batch=6, objects=4, **common),
        "default, quick, 3 x 512 px x 4": TrainConfig(batch=3, objects=4, crop_px=512, **common),
        "default, paper, 4 x 256 px x 4": TrainConfig(recipe="paper", batch=4, objects=4, **common),
    }


def measure(config: TrainConfig, device: torch.device, steps: int) -> tuple[float, float]:
    """Steps per second and FLOP of a step."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(), Path(folder), str(device))
        crops = [
            [trainer.sampler.draw(np.random.default_rng([step, i])) for i in range(config.batch)] for step in range(4)
        ]
        for batch in crops[:2]:
            trainer.train_step(iter([batch]))
        with FlopCounterMode(display=False) as counter:
            trainer.train_step(iter(crops[:1]))
        _wait(device)
        started = time.perf_counter()
        for step in range(steps):
            trainer.train_step(iter([crops[step % len(crops)]]))
        _wait(device)
        return steps / (time.perf_counter() - started), float(counter.get_total_flops())


def matrix_peak(device: torch.device, side: int) -> float:
    """FLOP/s of the fastest of ten bfloat16 matrix products."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        _wait(device)
        started = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
