"""Crops trained per second of one core: crops of one side against varied sides, and the cost of drawing them.

    python -m benchmarks.training_crops [--rounds 3] [--quick]

Both variants train the same network on synthetic crops and take turns, each side of the varied crops once a round,
so that their mean is the mean over a run. Processor time is counted, not wall time: ratios hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks import timing
from src_models.training.config import TrainConfig
from src_models.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

_LEVERS = {"paste": 0.25, "synthetic_wide": 0.5}


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(1)
    timing.say(timing.describe(timing.machine()))
    config = TrainConfig(
        start="",
        steps=1000,
        batch=1 if options.quick else 4,
        objects=1 if options.quick else 3,
        crop_px=96 if options.quick else 320,
        crop_min_px=64 if options.quick else 192,
        hypotheses=0.7,
        bf16=False,
        picture_every=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds = train(Trainer(config, Path(), Path(folder)), options.rounds)
        drawing = {name: draw(c, Path(folder), options.rounds) for name, c in drawings(config).items()}
    fixed = seconds[config.crop_px]
    varied = float(np.mean(list(seconds.values())))
    timing.say(f"{'case':<44}{'crops/s':>9}{'ratio':>8}")
    timing.say(f"{f'all crops {config.crop_px} px':<44}{1 / fixed:>9.2f}{1:>8.2f}")
    sides = f"crops of {config.crop_min_px} to {config.crop_px} px"
    timing.say(f"{sides:<44}{1 / varied:>9.2f}{fixed / varied:>8.2f}")
    timing.say(f"{'drawing a crop':<44}{'ms':>9}{'of step':>8}")
    for name, cost in drawing.items():
        timing.say(f"{name:<44}{1e3 * cost:>9.1f}{cost / (varied + cost):>8.1%}")


def drawings(config: TrainConfig) -> dict[str, TrainConfig]:
    """Configurations whose crops are drawn."""
    return {
        "six styles": dataclasses.replace(config, crop_min_px=0),
        "with pastes, and half of them wide styles": dataclasses.replace(config, crop_min_px=0, **_LEVERS),
    }


def train(trainer: Trainer, rounds: int) -> dict[int, float]:
    """Processor seconds per crop, by side of the crops."""
    config = trainer.config
    sides = range(config.crop_min_px, config.crop_px + 1, 32)
    crops = {
        side: [trainer.sampler.draw(np.random.default_rng([side, i]), side=side) for i in range(config.batch)]
        for side in sides
    }
    spent: dict[int, list[float]] = {side: [] for side in sides}
    for turn in range(rounds + 1):  # the first is not counted
        for side in sides:
            trainer.step = turn  # the same prompts for all sides
            batches = iter([crops[side]])
            used = processor_seconds(lambda batches=batches: trainer.train_step(batches))
            if turn:
                spent[side].append(used / config.batch)
    return {side: float(np.median(used)) for side, used in spent.items()}


def draw(config: TrainConfig, folder: Path, rounds: int) -> float:
    """Processor seconds to draw a crop."""
    sampler = Trainer(config, Path(), folder).sampler
    used = [
        processor_seconds(lambda seed=seed: sampler.draw(np.random.default_rng(seed))) for seed in range(12 * rounds)
    ]
    return float(np.mean(used))


def processor_seconds(function: Callable[[], object]) -> float:
    """Processor time of a call, of all threads."""
    started = time.process_time()
    function()
    return time.process_time() - started


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
