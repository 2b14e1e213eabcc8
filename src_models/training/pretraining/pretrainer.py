"""Pre-train an image encoder on images without labels; `pretrain` is the way in, `mae` has the networks."""

from __future__ import annotations

import copy
import math
import os
import pickle
import time
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from src_models.checkpoints.checkpoint_files import replacing_checkpoint, save_sam
from src_models.model_errors import TrainingError
from src_models.runtime import choose_device
from src_models.training.config import TrainConfig
from src_models.training.data.unlabelled import UnlabelledImages, find_images
from src_models.training.pretraining.masked_autoencoder import (
    build_pretext,
    draw_masks,
    mask_side,
    masked_loss,
    reconstruction,
    to_pixels,
)
from src_models.training.run_log import append_row, drop_rows_after
from src_models.training.starting_network import starting_network

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from src_models.networks.sam import Sam
    from src_models.training.pretraining.pretrain_config import PretrainConfig

_PREFETCH = 4
_LOG_EVERY = 20
_SHOWN = 4  # images in a picture
_GAP_PX = 4
_CALIBRATION_CROPS = 64
_TRAIN, _MASK, _CALIBRATE, _SHOW = range(4)  # streams of random numbers, all independent of how a run is cut
# What may differ when a run goes on; a lower learning rate is the remedy for one that has failed.
_MAY_CHANGE = frozenset({"steps", "save_every", "picture_every", "learning_rate"})


@dataclass(frozen=True)
class PretrainResult:
    """What a run made.

    Attributes
    ----------
    model : Path
        Checkpoint, for `load_sam` or as `start` of a `TrainConfig`.
    step : int
        Steps done; fewer than configured if it was cancelled.
    loss : float
        Mean of the last steps that this call trained; NaN if there was none.
    images : int
        Files found.
    skipped : mapping of Path to str
        Those of them that were drawn and could not be read, and why.
    """

    model: Path
    step: int
    loss: float
    images: int
    skipped: Mapping[Path, str]


class Pretrainer:
    """Train an image encoder to guess what is hidden; `run` returns when all steps are done.

    Batch normalisation: a pre-trained encoder keeps its running statistics throughout, as in `Trainer`. A fresh
    one has none, and without normalisation its deep stack of convolutions does not train, so it normalises by
    the batch. Those statistics are of images that are mostly hidden, though, and `Trainer` would go on with them
    for ever; so what is saved for use has them taken anew, over whole crops.

    Parameters
    ----------
    config : PretrainConfig
        The run.
    data_root : Path
        Folder that the configuration's images are relative to.
    out : Path
        Folder of checkpoints, log and pictures.
    device : str
        As `choose_device`.
    """

    def __init__(self, config: PretrainConfig, data_root: Path, out: Path, device: str = "cpu") -> None:
        self.config = config
        self.out = out
        self.device = choose_device(device)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{out}: cannot be made: {error.strerror}; choose another folder") from error
        paths = find_images(data_root, config.images, without=out)
        self.images = UnlabelledImages(paths, config.augment)
        self.data = _fingerprint(data_root, paths)
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
        """Go on from the last checkpoint, if there is one, to the last step.

        Parameters
        ----------
        progress, cancelled
            As `pretrain`.
        """
        self.resume()
        drop_rows_after(self.out / "log.csv", self.step)
        steps, first, started = self.config.steps, self.step, time.perf_counter()
        with closing(self._batches()) as batches:
            for crops in batches:
                if cancelled is not None and cancelled():
                    break
                values = self.train_step(crops)
                self.step += 1
                values["steps_per_s"] = round((self.step - first) / (time.perf_counter() - started), 3)
                values["skipped"] = len(self.images.skipped)
                self._record(values)
                if progress is not None:
                    progress(self.step, steps, values)
        if self._saved != self.step or not self.model_path.exists():
            self.save()
        loss = sum(self._recent) / len(self._recent) if self._recent else math.nan
        return PretrainResult(self.model_path, self.step, loss, len(self.images), dict(self.images.skipped))

    @property
    def model_path(self) -> Path:
        """Where the checkpoint for use goes."""
        return self.out / "model.safetensors"

    def train_step(self, crops: Tensor) -> dict[str, float]:
        """One optimiser step.

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
            If the loss or its gradient is not finite; the last checkpoint is untouched.
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
            raise TrainingError(
                f"step {self.step}: the loss is {value} and its gradient {float(norm)}; lower learning_rate "
                f"({config.learning_rate}) and run again, which goes on from the last checkpoint in {self.out}"
            )
        self.optimizer.step()
        self._recent.append(value)
        return {"loss": value, "learning_rate": rate}

    def save(self) -> None:
        """Write the network for use and the state to resume from; each replaces the old one atomically."""
        state = {
            "step": self.step,
            "net": self.net.state_dict(),
            "pretext": self.pretext.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "config": asdict(self.config),
            "data": self.data,
        }
        save_sam(self._for_use(), self.model_path)
        with replacing_checkpoint(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        self._saved = self.step

    def resume(self) -> None:
        """Take the state of the last checkpoint in the output folder, if there is one.

        Raises
        ------
        TrainingError
            If it is damaged or of a different run.
        """
        path = self.out / "state.pt"
        if not path.exists():
            return
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
            for name, own in asdict(self.config).items():
                if name not in _MAY_CHANGE and (then := state["config"][name]) != own:
                    raise TrainingError(
                        f"{path} is of a run with {name} = {then!r}, not {own!r}; set it so, or choose another folder"
                    )
            if state["data"] != self.data:
                raise TrainingError(f"{path} is of a run with other images; choose another folder")
            self.net.load_state_dict(state["net"])
            self.pretext.load_state_dict(state["pretext"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = self._saved = int(state["step"])
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, pickle.UnpicklingError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise TrainingError(f"{path} cannot be resumed ({reason}); delete it to start again") from error

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with and without weight decay: it is for matrices and kernels, as in MAE's code."""
        groups: list[dict[str, Any]] = [
            {"params": [], "weight_decay": self.config.weight_decay},
            {"params": [], "weight_decay": 0.0},
        ]
        for name, parameter in self.pretext.named_parameters():
            plain = parameter.ndim < 2 or name.endswith(("pos_embed", "attention_biases"))
            groups[plain]["params"].append(parameter)
        return groups

    def _set_rate(self) -> float:
        """Linear warm-up, then half a cosine to zero (MAE's ``lr_sched.py``, by steps)."""
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
        """What the encoder takes."""
        return (crops - self.net.pixel_mean) / self.net.pixel_std

    def _hide(self, count: int, rng: np.random.Generator) -> tuple[Tensor, tuple[int, int]]:
        """Masks for some crops, and a place (y, x) for all of them in the network's square, in cells."""
        config = self.config
        patches = config.crop_px // self._side
        mask = draw_masks(count, (patches, patches), config.mask_ratio, rng).to(self.device)
        room = (self.net.img_size - config.crop_px) // self.net.prompt_encoder.stride
        y, x = rng.integers(0, room, size=2, endpoint=True)
        return mask, (int(y), int(x))

    def _draw(self, stream: int, index: int, count: int) -> Tensor:
        """Crops (count, 3, S, S) uint8; the same for the same `stream` and `index`."""
        rng = np.random.default_rng([self.config.seed, stream, index])
        crops = np.stack([self.images.draw(self.config.crop_px, rng) for _ in range(count)])
        return torch.from_numpy(crops).permute(0, 3, 1, 2)

    def _batches(self) -> Generator[Tensor]:
        """Batches from this step on, drawn ahead in a thread."""
        first, steps, batch = self.step, self.config.steps, self.config.batch
        with ThreadPoolExecutor(1, "crops") as pool:
            ahead = deque(
                pool.submit(self._draw, _TRAIN, k, batch) for k in range(first, min(first + _PREFETCH, steps))
            )
            try:
                for step in range(first, steps):
                    crops = ahead.popleft().result()
                    if step + _PREFETCH < steps:
                        ahead.append(pool.submit(self._draw, _TRAIN, step + _PREFETCH, batch))
                    yield crops
            finally:
                pool.shutdown(cancel_futures=True)

    def _record(self, values: Mapping[str, float]) -> None:
        """Log, draw and save, if this step is one for it; always at the last."""
        config, last = self.config, self.step == self.config.steps
        if last or self.step % _LOG_EVERY == 0:
            mean = sum(self._recent) / len(self._recent)
            append_row(self.out / "log.csv", {"step": self.step, **values, "loss": round(mean, 5)})
        if config.picture_every and (last or self.step % config.picture_every == 0):
            self._picture(self.out / "pictures" / f"{self.step:07}.png")
        if last or self.step % config.save_every == 0:
            self.save()

    @torch.no_grad()
    def _picture(self, path: Path) -> None:
        """Write the same crops each time, a row each: original, what is visible, and the reconstruction."""
        crops = self._draw(_SHOW, 0, min(_SHOWN, self.config.batch)).to(self.device)
        mask, corner = self._hide(len(crops), np.random.default_rng([self.config.seed, _SHOW, 1]))
        self.pretext.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            predicted = self.pretext(self._normalised(crops), mask, corner).float()
        images = crops / 255
        visible = images.masked_fill(to_pixels(mask, self._side), 0.5)
        columns = []
        for shown in (images, visible, reconstruction(predicted, images, mask)):
            pixels = (shown * 255).round().clamp(0, 255).byte().cpu()
            framed = nn.functional.pad(pixels, (0, _GAP_PX, 0, _GAP_PX), value=255)
            columns.append(framed.permute(0, 2, 3, 1).flatten(0, 1).numpy())  # (B * S, S, 3)
        with replacing_checkpoint(path) as temporary:
            Image.fromarray(np.concatenate(columns, 1)[:-_GAP_PX, :-_GAP_PX]).save(temporary, "PNG")

    @torch.no_grad()
    def _for_use(self) -> Sam:
        """The network to save: where batches gave the statistics, a copy with those of whole crops."""
        if not self._batch_statistics or not _batch_norms(self.net):
            return self.net
        net = copy.deepcopy(self.net).eval()
        for norm in _batch_norms(net):
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
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
    """Pre-train an image encoder, or go on with a run that was cancelled or killed.

    Parameters
    ----------
    config : PretrainConfig
        The run.
    data_root : Path
        Folder that the configuration's images are relative to.
    out : Path
        Gets ``model.safetensors`` (a whole network: the encoder pre-trained, the rest fresh or as in the
        checkpoint it started from), ``state.pt`` to resume from, ``log.csv`` and ``pictures/STEP.png``.
    device : str
        "cpu", "cuda", "mps" or "auto".
    progress : callable, optional
        Called after each step with the steps done, those in all, and numbers: loss, learning_rate, steps_per_s,
        skipped (files that cannot be read).
    cancelled : callable, optional
        Asked before each step; True saves and stops.

    Returns
    -------
    PretrainResult
        Where the network is and how far it came.

    Raises
    ------
    TrainingError
        If images or configuration cannot be used, or the loss is not finite.
    ModelError
        If the architecture, the device or the checkpoint to start from is unknown, or a file cannot be written.
    """
    return Pretrainer(config, data_root, out, device).run(progress, cancelled)


def _batch_norms(net: Sam) -> list[nn.BatchNorm2d]:
    return [module for module in net.image_encoder.modules() if isinstance(module, nn.BatchNorm2d)]


def _fingerprint(root: Path, paths: Sequence[Path]) -> int:
    """CRC-32 over the names and sizes of all images, in order; none is read."""
    text = "\n".join(f"{os.path.relpath(path, root)} {path.stat().st_size}" for path in paths)
    return zlib.crc32(text.encode())
