"""Training loop with averaged weights, and checkpoints from which an interrupted run resumes."""

from __future__ import annotations

import copy
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from src_models.model_errors import DivergedError, TrainingError
from src_models.runtime import choose_device
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.data.crops import Crop, CropSampler
from src_models.training.data.training_data import TrainingData
from src_models.training.loop.backward_pass import BackwardPass
from src_models.training.loop.compute_ahead import computed_ahead
from src_models.training.loop.run_folder import RunFolder, RunIdentity, rate_of_progress
from src_models.training.loop.schedule import parameter_groups, rate_factor
from src_models.training.loop.set_schedule import balanced_sources
from src_models.training.starting_network import training_start
from src_models.training.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

_PREFETCH = 4
_LOG_EVERY = 20
# Settings that may differ when a run is resumed: its length, learning rates and reports.
_MAY_CHANGE = frozenset(
    "steps learning_rate backbone_rate save_every picture_every validate_every validation compile workers".split()
)


class Trainer:
    """Train a network; `run` returns when all steps are done.

    Parameters
    ----------
    config : TrainConfig
        Settings of the run.
    data_root : Path
        Folder of the configuration's relative paths.
    out : Path
        Folder of checkpoints, tables and pictures. A run in it is resumed.
    device : str
        As `choose_device`: "cpu", "cuda", "mps" or "auto".

    Attributes
    ----------
    step : int
        Steps done.
    best : float
        Highest validation score so far.
    skipped : tuple of str
        Notes on samples that were skipped.

    Raises
    ------
    TrainingError
        If the data cannot be used, or the configuration does not fit the network.
    """

    def __init__(self, config: TrainConfig, data_root: Path, out: Path, device: str = "cpu") -> None:
        self.config, self.out = config, out
        self.device = choose_device(device)
        self.folder = RunFolder(out)
        torch.manual_seed(config.seed)
        start = training_start(config)
        self.net, self.base = start.net, start.base
        self.net.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        size, stride = self.net.img_size, self.net.prompt_encoder.stride
        _check_sides(config, size)
        data = TrainingData.read(config, data_root)
        self.skipped = data.skipped
        self.identity = RunIdentity(_plain(config), data.checksum(), _MAY_CHANGE, _completed)
        self.validation = Validation(data.validation, config, size) if data.validation else None
        groups = parameter_groups(self.net, config)
        self.average = copy.deepcopy(self.net)
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2))
        self.backward_pass = BackwardPass(self.net, config, self.device)
        pitch = stride // 4 if self.backward_pass.trains_dense else 0
        partial = [i for i, folder in enumerate(config.folders) if not folder.complete]
        self.sampler = CropSampler(data.folders, config, size, pitch, partial=partial)
        self.step, self.best = 0, float("-inf")

    def run(
        self,
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Train to the last step, and save at the configured steps.

        Parameters
        ----------
        progress : callable, optional
            Called with the step, the number of steps and the latest values.
        cancelled : callable, optional
            Called at every step; if it returns True, the run saves and stops.

        Raises
        ------
        TrainingError
            If the loss is not finite, a checkpoint cannot be written, or the run cannot be resumed.
        """
        config = self.config
        self.resume()
        _set_mode(self.net)
        for table in ("log", "validation"):
            self.folder.drop_rows_after(table, self.step)
        started, first = time.perf_counter(), self.step
        batches = self._batches()
        while self.step < config.steps:
            if cancelled is not None and cancelled():
                self.save()
                break
            values = self.train_step(batches)
            self.step += 1
            if self.step % _LOG_EVERY == 0:
                rate = rate_of_progress(self.step, first, time.perf_counter() - started)
                self.folder.append("log", {"step": self.step, **values, "steps_per_s": rate})
            if self.validation is not None and self.step % (config.validate_every or config.save_every) == 0:
                self._validate(self.validation)
            if self.step % config.save_every == 0 or self.step == config.steps:
                self.save()
            if progress is not None:
                progress(self.step, config.steps, values)
        batches.close()

    def train_step(self, batches: Iterator[list[Crop]]) -> dict[str, float]:
        """Run one optimiser step; return the values to log.

        Parameters
        ----------
        batches : iterator of list of Crop
            Crops of each backward pass; a batch is taken for each accumulated pass.

        Raises
        ------
        TrainingError
            If the loss is not finite; the last checkpoint stays intact.
        """
        config = self.config
        torch.manual_seed(hash((config.seed, self.step)) % 2**63)  # stochastic depth is the same after resuming
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor(self.step, config)
        self.optimizer.zero_grad(set_to_none=True)
        values: dict[str, float] = {}
        for part in range(config.accumulate):
            rng = np.random.default_rng([config.seed, 1, self.step, part])
            values = self._accumulate(next(batches), rng)
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        if not torch.isfinite(norm):
            raise self.folder.diverged(self.step, f"the gradient is {float(norm)}", config.learning_rate)
        self.optimizer.step()
        self._update_average()
        return values

    def save(self) -> None:
        """Write the averaged weights for use, and the state to resume from; each file is replaced in one step.

        Raises
        ------
        TrainingError
            If they cannot be written; the previous checkpoint stays intact.
        """
        self.folder.save_network(self.average, self.step, base=self.base)
        parts = {
            "best": self.best,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        self.folder.save_state(self.identity, self.step, parts)

    def resume(self) -> int:
        """Load the last checkpoint in the output folder, if there is one; return the steps done.

        Raises
        ------
        TrainingError
            If it belongs to another configuration or other data, or cannot be read.
        """
        if self.step:  # resumed before
            return self.step
        with self.folder.resuming(self.identity, ("best", "net", "average", "optimizer"), self.device) as state:
            if state is not None:
                self._load(state)
        return self.step

    def _load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        peaks = [group["peak"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, peak in zip(self.optimizer.param_groups, peaks, strict=True):
            group["peak"] = peak  # rates may differ from those of the earlier run
        self.step, self.best = int(state["step"]), float(state["best"])

    def _accumulate(self, crops: list[Crop], rng: np.random.Generator) -> dict[str, float]:
        """Add the gradient of one batch, and draw its predictions if they are due; return the values to log."""
        try:
            result = self.backward_pass.run(crops, rng)
        except DivergedError as error:
            raise self.folder.diverged(self.step, error.message, self.config.learning_rate) from error
        every = self.config.picture_every
        if every and (self.step + 1) % every == 0:
            self.folder.save_picture(f"{self.step + 1:06d}", self.backward_pass.pictures(result, crops))
        return result.values

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, latest in zip(self.average.parameters(), self.net.parameters(), strict=True):
            if latest.requires_grad:
                mean.lerp_(latest, 1 - decay)

    def _validate(self, validation: Validation) -> None:
        """Evaluate the averaged weights, and save them if they are the best so far."""
        values = validation.score(self.average)
        self.folder.append("validation", {"step": self.step, **values})
        if values["iou_1click"] > self.best:
            self.best = values["iou_1click"]
            self.folder.save_network(self.average, self.step, name="best", base=self.base)

    def _side(self, index: int) -> int:
        """Draw the side of the crops of a backward pass, a multiple of 32 pixels."""
        config = self.config
        if not config.crop_min_px:
            return config.crop_px
        rng = np.random.default_rng([config.seed, 4, index])
        return 32 * int(rng.integers(config.crop_min_px // 32, config.crop_px // 32 + 1))

    def _sources(self, index: int) -> Sequence[int | None]:
        """Return the data sets of the crops of a backward pass; None to draw them at random."""
        config = self.config
        if config.sampling == "random":
            return [None] * config.batch
        step, part = divmod(index, config.accumulate)
        sources = balanced_sources(self.sampler.shares, config.batch * config.accumulate, step, config.seed)
        return [int(source) for source in sources[part * config.batch :][: config.batch]]

    def _batches(self) -> Generator[list[Crop], None, None]:
        """Draw batches ahead, in threads; batch k is the same in a resumed run."""
        config = self.config
        passes = range(self.step * config.accumulate, config.steps * config.accumulate)

        def draw(index: int) -> list[Crop]:
            rng = np.random.default_rng([config.seed, 0, index])
            side = self._side(index)
            return [self.sampler.draw(rng, source, side) for source in self._sources(index)]

        return computed_ahead(draw, passes, ahead=config.workers + _PREFETCH + 1, workers=config.workers)


def _check_sides(config: TrainConfig, size: int) -> None:
    """Refuse sides of crops that do not fit the network, whose input has the side `size`."""
    if config.crop_px > size or config.crop_px % 32:
        remedy = f"give a multiple of 32 up to {size}, the side of the network's input"
        raise TrainingError(f"crop_px is {config.crop_px}", parameter="crop_px", remedy=remedy)
    if config.crop_min_px > config.crop_px or config.crop_min_px % 32:
        remedy = f"give a multiple of 32 up to crop_px, {config.crop_px}"
        raise TrainingError(f"crop_min_px is {config.crop_min_px}", parameter="crop_min_px", remedy=remedy)


def _set_mode(net: nn.Module) -> None:
    """Set training mode for stochastic depth, but keep the statistics of batch normalisation.

    Statistics of small batches are harmful.
    """
    net.train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as types that `torch.load(weights_only=True)` reads."""
    table = asdict(config)
    return {k: [dict(f) for f in v] if k in ("folders", "validation") else v for k, v in table.items()}


def _completed(earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Add the settings that a run of an earlier version did not have, with their defaults."""
    table = _plain(TrainConfig()) | dict(earlier)
    folder = asdict(FolderConfig(""))
    return table | {name: [folder | dict(f) for f in table[name]] for name in ("folders", "validation")}
