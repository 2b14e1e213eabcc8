"""Pre-train an image encoder on images without labels by reconstruction of hidden patches."""

from __future__ import annotations

import copy
import math
import os
import time
import zlib
from collections import deque
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from src_models.runtime import choose_device
from src_models.training.config import TrainConfig
from src_models.training.data.unlabelled import UnlabelledImages, find_images
from src_models.training.loop.compute_ahead import computed_ahead
from src_models.training.loop.run_folder import RunFolder, RunIdentity, rate_of_progress
from src_models.training.pretraining.masked_autoencoder import (
    build_pretext,
    draw_masks,
    mask_side,
    masked_loss,
    reconstruction,
    to_pixels,
)
from src_models.training.starting_network import starting_network

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from src_models.networks.sam import Sam
    from src_models.training.pretraining.pretrain_config import PretrainConfig

_PREFETCH = 4
_LOG_EVERY = 20
_PICTURED = 4  # images in a picture
_GAP_PX = 4
_CALIBRATION_CROPS = 64
_TRAIN, _MASK, _CALIBRATE, _PICTURE = range(4)  # streams of random numbers, independent of interruptions
# Settings that may differ when a run is resumed; a lower learning rate is the remedy for divergence.
_MAY_CHANGE = frozenset({"steps", "save_every", "picture_every", "learning_rate"})


@dataclass(frozen=True)
class PretrainResult:
    """Result of a pre-training run.

    Attributes
    ----------
    model : Path
        Checkpoint for `load_sam`, or for `start` of a `TrainConfig`.
    step : int
        Steps done; fewer than configured if the run was cancelled.
    loss : float
        Mean over the last steps of this call; NaN if there were none.
    images : int
        Number of image files.
    skipped : mapping of Path to str
        Reason for each file that was drawn and could not be read.
    """

    model: Path
    step: int
    loss: float
    images: int
    skipped: Mapping[Path, str]


class Pretrainer:
    """Train an image encoder to reconstruct hidden patches; `run` returns when all steps are done.

    Batch normalisation: a pre-trained encoder keeps its running statistics throughout, as in `Trainer`. A fresh
    encoder has none, and its deep stack of convolutions does not train without normalisation, so it normalises by
    batch. However, those are statistics of mostly hidden images, and `Trainer` would never update them. The network
    that is saved for use therefore has statistics of whole crops.

    Parameters
    ----------
    config : PretrainConfig
        Settings of the run.
    data_root : Path
        Folder of the configuration's relative paths.
    out : Path
        Folder of checkpoints, log and pictures. A run in it is resumed.
    device : str
        As `choose_device`.
    """

    def __init__(self, config: PretrainConfig, data_root: Path, out: Path, device: str = "cpu") -> None:
        self.config = config
        self.device = choose_device(device)
        self.folder = RunFolder(out)
        paths = find_images(data_root, config.images, without=out)
        self.images = UnlabelledImages(paths, config.augment)
        self.identity = RunIdentity(asdict(config), _checksum(data_root, paths), _MAY_CHANGE)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.net = starting_network(TrainConfig(kind=config.kind, start=config.start, dense_weight=0.0))
            self.pretext = build_pretext(self.net, config)
        self.net.to(self.device)
        self.pretext.to(self.device)
        self.net.image_encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._batch_statistics = config.start == ""
        self._side = mask_side(self.net, config)
        self.optimizer = torch.optim.AdamW(self._groups(), lr=config.learning_rate, betas=config.betas)
        self.step = 0
        self._saved: int | None = None  # step of the last checkpoint
        self._recent: deque[float] = deque(maxlen=_LOG_EVERY)  # losses

    def run(
        self,
        progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> PretrainResult:
        """Train to the last step, from the last checkpoint if there is one.

        Parameters
        ----------
        progress, cancelled
            As in `pretrain`.
        """
        self.resume()
        self.folder.drop_rows_after("log", self.step)
        steps, first, started = self.config.steps, self.step, time.perf_counter()
        with closing(self._batches()) as batches:
            for crops in batches:
                if cancelled is not None and cancelled():
                    break
                values = self.train_step(crops)
                self.step += 1
                values["steps_per_s"] = rate_of_progress(self.step, first, time.perf_counter() - started)
                values["skipped"] = len(self.images.skipped)
                self._record(values)
                if progress is not None:
                    progress(self.step, steps, values)
        if self._saved != self.step or not self.folder.model_path.exists():
            self.save()
        loss = sum(self._recent) / len(self._recent) if self._recent else math.nan
        return PretrainResult(self.folder.model_path, self.step, loss, len(self.images), dict(self.images.skipped))

    def train_step(self, crops: Tensor) -> dict[str, float]:
        """Run one optimiser step.

        Parameters
        ----------
        crops : Tensor
            (B, 3, S, S) uint8.

        Returns
        -------
        dict of str to float
            Loss and learning rate.

        Raises
        ------
        TrainingError
            If the loss or its gradient is not finite; the last checkpoint stays intact.
        """
        config = self.config
        rate = self._set_rate()
        self._set_mode()
        crops = crops.to(self.device)
        mask, corner = self._hide(len(crops), np.random.default_rng([config.seed, _MASK, self.step]))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            predicted = self.pretext(self._normalised(crops), mask, corner)
        loss = masked_loss(predicted.float(), crops / 255, mask)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.pretext.parameters(), 1.0)
        value = float(loss.detach())
        if not math.isfinite(value) or not torch.isfinite(norm):
            reason = f"the loss is {value} and its gradient {float(norm)}"
            raise self.folder.diverged(self.step, reason, config.learning_rate)
        self.optimizer.step()
        self._recent.append(value)
        return {"loss": value, "learning_rate": rate}

    def save(self) -> None:
        """Write the network for use, and the state to resume from; each file is replaced in one step."""
        parts = {
            "net": self.net.state_dict(),
            "pretext": self.pretext.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        self.folder.save_network(self._network_for_use(), self.step, with_step=False)
        self.folder.save_state(self.identity, self.step, parts)
        self._saved = self.step

    def resume(self) -> None:
        """Load the last checkpoint in the output folder, if there is one.

        Raises
        ------
        TrainingError
            If it is damaged, or belongs to a different run.
        """
        with self.folder.resuming(self.identity, ("net", "pretext", "optimizer"), self.device) as state:
            if state is not None:
                self.net.load_state_dict(state["net"])
                self.pretext.load_state_dict(state["pretext"])
                self.optimizer.load_state_dict(state["optimizer"])
                self.step = self._saved = int(state["step"])

    def _groups(self) -> list[dict[str, Any]]:
        """Group the parameters by weight decay, which only matrices and kernels have, as in MAE's code."""
        groups: list[dict[str, Any]] = [
            {"params": [], "weight_decay": self.config.weight_decay},
            {"params": [], "weight_decay": 0.0},
        ]
        for name, parameter in self.pretext.named_parameters():
            plain = parameter.ndim < 2 or name.endswith(("pos_embed", "attention_biases"))
            groups[plain]["params"].append(parameter)
        return groups

    def _set_rate(self) -> float:
        """Set the learning rate: linear warm-up, then half a cosine to zero (``lr_sched.py`` of MAE, by steps)."""
        config = self.config
        if self.step < config.warmup_steps:
            share = (self.step + 1) / config.warmup_steps
        else:
            done = (self.step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
            share = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * share
        return config.learning_rate * share

    def _set_mode(self) -> None:
        self.pretext.train()
        if not self._batch_statistics:
            for norm in _batch_norms(self.net):
                norm.eval()

    def _normalised(self, crops: Tensor) -> Tensor:
        """Normalise crops as the encoder takes them."""
        return (crops - self.net.pixel_mean) / self.net.pixel_std

    def _hide(self, count: int, rng: np.random.Generator) -> tuple[Tensor, tuple[int, int]]:
        """Draw masks for crops, and their common position (y, x) in the network's square input, in cells."""
        config = self.config
        patches = config.crop_px // self._side
        mask = draw_masks(count, (patches, patches), config.mask_ratio, rng).to(self.device)
        room = (self.net.img_size - config.crop_px) // self.net.prompt_encoder.stride
        y, x = rng.integers(0, room, size=2, endpoint=True)
        return mask, (int(y), int(x))

    def _draw(self, stream: int, index: int, count: int) -> Tensor:
        """Draw crops (count, 3, S, S) uint8, determined by `stream` and `index`."""
        rng = np.random.default_rng([self.config.seed, stream, index])
        crops = np.stack([self.images.draw(self.config.crop_px, rng) for _ in range(count)])
        return torch.from_numpy(crops).permute(0, 3, 1, 2)

    def _batches(self) -> Generator[Tensor, None, None]:
        """Draw the batches from this step on, ahead of their use."""
        steps = range(self.step, self.config.steps)
        return computed_ahead(lambda step: self._draw(_TRAIN, step, self.config.batch), steps, ahead=_PREFETCH + 1)

    def _record(self, values: Mapping[str, float]) -> None:
        """Log, draw and save if this step is due; always at the last step."""
        config, last = self.config, self.step == self.config.steps
        if last or self.step % _LOG_EVERY == 0:
            mean = sum(self._recent) / len(self._recent)
            self.folder.append("log", {"step": self.step, **values, "loss": round(mean, 5)})
        if config.picture_every and (last or self.step % config.picture_every == 0):
            self.folder.save_picture(f"{self.step:07}", self._picture())
        if last or self.step % config.save_every == 0:
            self.save()

    @torch.no_grad()
    def _picture(self) -> NDArray[np.uint8]:
        """Draw the same crops each time, a row each: original, visible part, and reconstruction."""
        crops = self._draw(_PICTURE, 0, min(_PICTURED, self.config.batch)).to(self.device)
        mask, corner = self._hide(len(crops), np.random.default_rng([self.config.seed, _PICTURE, 1]))
        self.pretext.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            predicted = self.pretext(self._normalised(crops), mask, corner).float()
        images = crops / 255
        visible = images.masked_fill(to_pixels(mask, self._side), 0.5)
        columns = []
        for column in (images, visible, reconstruction(predicted, images, mask)):
            pixels = (column * 255).round().clamp(0, 255).byte().cpu()
            framed = nn.functional.pad(pixels, (0, _GAP_PX, 0, _GAP_PX), value=255)
            columns.append(framed.permute(0, 2, 3, 1).flatten(0, 1).numpy())  # (B * S, S, 3)
        picture: NDArray[np.uint8] = np.concatenate(columns, 1)[:-_GAP_PX, :-_GAP_PX]
        return picture

    @torch.no_grad()
    def _network_for_use(self) -> Sam:
        """Return the network to save: if it normalises by batch, a copy with the statistics of whole crops."""
        if not self._batch_statistics or not _batch_norms(self.net):
            return self.net
        net = copy.deepcopy(self.net).eval()
        for norm in _batch_norms(net):
            norm.reset_running_stats()
            norm.momentum = None  # mean over all batches
            norm.train()
        for index in range(-(-_CALIBRATION_CROPS // self.config.batch)):
            crops = self._draw(_CALIBRATE, index, self.config.batch).to(self.device)
            net.image_encoder(self._normalised(crops).contiguous(memory_format=torch.channels_last))
        return net.eval()


def pretrain(
    config: PretrainConfig,
    data_root: Path,
    out: Path,
    *,
    device: str = "cpu",
    progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PretrainResult:
    """Pre-train an image encoder, or resume an interrupted run.

    Parameters
    ----------
    config : PretrainConfig
        Settings of the run.
    data_root : Path
        Folder of the configuration's relative paths.
    out : Path
        Output folder: ``model.safetensors`` (a whole network whose encoder is pre-trained; the other parts are fresh
        or those of `start`), ``state.pt`` to resume from, ``log.csv`` and ``pictures/STEP.png``.
    device : str
        "cpu", "cuda", "mps" or "auto".
    progress : callable, optional
        Called after each step with the steps done, the number of steps, and values: loss, learning_rate, steps_per_s,
        skipped (files that cannot be read).
    cancelled : callable, optional
        Called before each step; if it returns True, the run saves and stops.

    Returns
    -------
    PretrainResult
        Path of the network, and how far the run got.

    Raises
    ------
    TrainingError
        If images or configuration cannot be used, the loss is not finite, or a file cannot be written.
    ModelError
        If the architecture, the device or the checkpoint to start from is unknown.
    """
    return Pretrainer(config, data_root, out, device).run(progress, cancelled)


def _batch_norms(net: Sam) -> list[nn.BatchNorm2d]:
    return [module for module in net.image_encoder.modules() if isinstance(module, nn.BatchNorm2d)]


def _checksum(root: Path, paths: Sequence[Path]) -> int:
    """Return the CRC-32 of the names and sizes of all images, in order; no image is read."""
    text = "\n".join(f"{os.path.relpath(path, root)} {path.stat().st_size}" for path in paths)
    return zlib.crc32(text.encode())
