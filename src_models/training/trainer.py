"""The training loop: simulated prompts, averaged weights, and checkpoints that survive a kill."""

from __future__ import annotations

import copy
import time
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.checkpoints.checkpoint_files import replacing_checkpoint, save_sam
from src_models.checkpoints.state_dicts import UNREADABLE
from src_models.model_errors import CheckpointError, TrainingError
from src_models.runtime import choose_device
from src_models.training.data.crops import Crop, CropSampler
from src_models.training.data.datasets import read_dataset
from src_models.training.dense_targets import dense_loss
from src_models.training.losses import prompt_loss
from src_models.training.prompted_batch import Prompted
from src_models.training.run_log import append_row, drop_rows_after, picture, save_sheet
from src_models.training.schedule import parameter_groups, rate_factor
from src_models.training.starting_network import starting_network
from src_models.training.validation import Validation
from src_models.watershed import seeded_watershed
from src_models.watershed_settings import HYPOTHESES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from src_models.networks.dense_decoder import DenseDecoder
    from src_models.training.config import FolderConfig, TrainConfig
    from src_models.training.data.labelled_images import LabelledImage

_PREFETCH = 4
_LOG_EVERY = 20
# What may differ when a run goes on: how long it is, how fast it learns, and what it reports.
_MAY_CHANGE = frozenset(
    "steps learning_rate backbone_rate save_every picture_every validate_every validation compile workers".split()
)


class Trainer:
    """Train a network; `run` returns when all steps are done.

    Parameters
    ----------
    config : TrainConfig
        The run.
    data_root : Path
        Folder that the configuration's data sets are relative to.
    out : Path
        Folder of checkpoints, table and pictures. A run found there goes on.
    device : str
        As `choose_device`: "cpu", "cuda", "mps" or "auto".

    Raises
    ------
    TrainingError
        If the data cannot be used, or the configuration does not fit the network.
    """

    def __init__(self, config: TrainConfig, data_root: Path, out: Path, device: str = "cpu") -> None:
        self.config, self.out = config, out
        self.device = choose_device(device)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{out}: cannot be made: {error.strerror}; choose another folder") from error
        torch.manual_seed(config.seed)
        self.net = starting_network(config)
        self.net.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        size = self.net.img_size
        if config.crop_px > size or config.crop_px % 32:
            raise TrainingError(f"crop_px {config.crop_px}: a multiple of 32 up to the network's {size}")
        self.skipped: tuple[str, ...] = ()
        folders = [(f.weight, self._read(data_root, f)) for f in config.folders]
        if not folders and config.synthetic_weight <= 0:
            raise TrainingError("no data: name folders, or set synthetic_weight above zero")
        self.data = _fingerprint([pairs for _, pairs in folders])
        self.dense = self.net.dense_decoder is not None and config.dense_weight > 0
        stride = self.net.prompt_encoder.stride
        self.sampler = CropSampler(folders, config, size, stride // 4 if self.dense else 0)
        held_out = [self._read(data_root, f) for f in config.validation]
        if config.validate_every and not held_out:
            raise TrainingError("validate_every is set, but there is no validation data; add [[validation]]")
        self.validation = Validation(held_out, config, size) if held_out else None
        groups = parameter_groups(self.net, config)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2))
        self.encoder_learns = any(p.requires_grad for p in self.net.image_encoder.parameters())
        self._with_gradient = torch.compile(self._masks) if config.compile else self._masks
        self.step, self.best = 0, float("-inf")

    def _read(self, root: Path, config: FolderConfig) -> tuple[LabelledImage, ...]:
        """Read a data set, and remember what was left out of it."""
        path = root / config.path
        if not path.exists():
            raise TrainingError(f"data set {config.path!r}: no {path}; paths are relative to the data root (--data)")
        found = read_dataset(path, config.include, config.channels or None)
        self.skipped += tuple(f"{config.path}: {reason}" for reason in found.skipped)
        return found.images

    def run(
        self,
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Train to the last step, saving as the configuration says.

        Parameters
        ----------
        progress : callable, optional
            Called with the step, the number of steps and the last values.
        cancelled : callable, optional
            Asked at every step; True saves and stops.

        Raises
        ------
        TrainingError
            If the loss is not finite, a checkpoint cannot be written, or the run cannot be resumed.
        """
        config = self.config
        self.resume()
        # Batch statistics of small batches hurt: normalisation keeps its running values throughout.
        _set_mode(self.net)
        log = self.out / "log.csv"
        for table in (log, self.out / "validation.csv"):
            drop_rows_after(table, self.step)
        started, seen = time.perf_counter(), self.step
        batches = self._batches()
        while self.step < config.steps:
            if cancelled is not None and cancelled():
                self.save()
                break
            values = self.train_step(batches)
            self.step += 1
            if self.step % _LOG_EVERY == 0:
                rate = (self.step - seen) / (time.perf_counter() - started)
                append_row(log, {"step": self.step, **values, "steps_per_s": round(rate, 3)})
            if self.validation is not None and self.step % (config.validate_every or config.save_every) == 0:
                self._validate(self.validation)
            if self.step % config.save_every == 0 or self.step == config.steps:
                self.save()
            if progress is not None:
                progress(self.step, config.steps, values)
        batches.close()

    def train_step(self, batches: Iterator[list[Crop]]) -> dict[str, float]:
        """One optimiser step; returns what to log.

        Parameters
        ----------
        batches : iterator of list of Crop
            Gives the crops of each backward pass; as many are taken as are accumulated.

        Raises
        ------
        TrainingError
            If the loss is not finite; the last checkpoint is untouched.
        """
        config = self.config
        torch.manual_seed(hash((config.seed, self.step)) % 2**63)  # for stochastic depth: the same after resuming
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor(self.step, config)
        self.optimizer.zero_grad(set_to_none=True)
        values: dict[str, float] = {}
        for part in range(config.accumulate):
            rng = np.random.default_rng([config.seed, 1, self.step, part])
            values = self._backward(next(batches), rng)
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        if not torch.isfinite(norm):
            raise TrainingError(self._diverged(f"the gradient is {float(norm)}"))
        self.optimizer.step()
        self._average()
        return values

    def _backward(self, crops: list[Crop], rng: np.random.Generator) -> dict[str, float]:
        """Add the gradient of one batch; the embedding is differentiated once for all rounds."""
        config, net = self.config, self.net
        images = torch.from_numpy(np.stack([c.image for c in crops])).to(self.device).permute(0, 3, 1, 2).float()
        images = ((images - net.pixel_mean) / net.pixel_std).contiguous(memory_format=torch.channels_last)
        room = (net.img_size - images.shape[-1]) // net.prompt_encoder.stride
        cell = (int(rng.integers(0, room + 1)), int(rng.integers(0, room + 1)))
        batch = Prompted(crops, rng, net.prompt_encoder.stride, cell, config.recipe)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            with torch.set_grad_enabled(self.encoder_learns):
                embedding = net.encode_crop(images, cell)
            leaf = self._cut(embedding)
            seen = self._dense(leaf, crops, batch) if self.dense else {}
            values = self._paper_rounds(leaf, batch) if batch.paper else self._quick_rounds(leaf, batch)
            values |= seen
        if leaf.is_leaf and leaf.grad is not None:
            embedding.backward(leaf.grad)
        if config.picture_every and (self.step + 1) % config.picture_every == 0:
            self._draw(leaf.detach(), crops, batch)
        return values

    def _cut(self, embedding: Tensor) -> Tensor:
        """The embedding without the encoder behind it, which gathers the gradients of all rounds."""
        return embedding.detach().requires_grad_(self.encoder_learns)

    def _dense(self, embedding: Tensor, crops: list[Crop], batch: Prompted) -> dict[str, float]:
        """Train the dense decoder, and let the prompts know what it sees."""
        logits = cast("DenseDecoder", self.net.dense_decoder).logits(embedding).float()
        target = torch.from_numpy(np.stack([c.dense for c in crops if c.dense is not None])).to(self.device)
        with torch.autocast(self.device.type, enabled=False):
            loss = dense_loss(logits, target)
        self._descend(self.config.dense_weight * loss)
        if self.config.hypotheses > 0:
            maps = torch.sigmoid(logits.detach()).cpu().numpy()
            scale = maps.shape[-1] / self.config.crop_px
            seen = [seeded_watershed(m, HYPOTHESES, scale) for m in maps]
            batch.suggest(seen, self.config.hypotheses)
        return {"dense": round(float(loss.detach()), 4)}

    def _descend(self, loss: Tensor) -> None:
        """Differentiate a part of the loss."""
        if not torch.isfinite(loss):
            raise TrainingError(self._diverged(f"the loss is {float(loss.detach())}"))
        if loss.requires_grad:  # not where all that the loss depends on is frozen
            (loss / self.config.accumulate).backward()

    def _diverged(self, what: str) -> str:
        config = self.config
        return (
            f"step {self.step}: {what}; lower learning_rate ({config.learning_rate}) and run again, which goes on from "
            f"the last checkpoint in {self.out}"
        )

    def _paper_rounds(self, embedding: Tensor, batch: Prompted) -> dict[str, float]:
        """Eleven rounds for every object, each with its loss (Kirillov et al., 2023, appendix A)."""
        everything = np.arange(len(batch.truth))
        rounds = [True, *batch.paper_schedule()]
        values: dict[str, float] = {}
        for i in range(len(rounds)):
            several, target = batch.several.to(self.device), batch.target.to(self.device)
            logits, predicted = self._decode(embedding, batch, everything, grad=True)
            loss, iou = prompt_loss(logits.float(), predicted.float(), target, several, self.config)
            self._descend(loss / len(rounds))
            best = torch.where(several, 0, 1 + predicted.detach()[:, 1:].argmax(1))[:, None]
            picked = iou.gather(1, best)[:, 0]
            values["loss"] = round(values.get("loss", 0.0) + float(loss.detach()) / len(rounds), 4)
            values |= {"iou_1click" if i == 0 else "iou_several": _mean(picked)}
            if i + 1 < len(rounds):
                shown = logits.detach().gather(1, best[..., None, None].expand(-1, -1, *logits.shape[-2:]))[:, 0]
                batch.answer(everything, shown, click=rounds[i + 1])
        return values

    def _quick_rounds(self, embedding: Tensor, batch: Prompted) -> dict[str, float]:
        """A share of the objects gets corrections without a gradient; then one round with its loss."""
        rounds = batch.rounds_before()
        for done in range(int(rounds.max())):
            which = np.flatnonzero(rounds > done)
            batch.answer(which, self._shown(embedding.detach(), batch, which))
        several, target = batch.several.to(self.device), batch.target.to(self.device)
        logits, predicted = self._decode(embedding, batch, np.arange(len(batch.truth)), grad=True)
        loss, iou = prompt_loss(logits.float(), predicted.float(), target, several, self.config)
        self._descend(loss)
        picked = iou[:, 1:].gather(1, predicted.detach()[:, 1:].argmax(1, keepdim=True))[:, 0]
        return {
            "loss": round(float(loss.detach()), 4),
            "iou_1click": _mean(picked[~several]),
            "iou_oracle": _mean(iou[:, 1:].max(1).values[~several]),
            "iou_several": _mean(iou[:, 0][several]),
        }

    def _decode(self, embedding: Tensor, batch: Prompted, which: np.ndarray, grad: bool) -> tuple[Tensor, Tensor]:
        """All four masks and predicted IoUs of the objects `which`."""
        coords, labels = batch.tokens()
        chosen = torch.from_numpy(which)
        fed = None if batch.logits is None else batch.logits[chosen]
        shape = (embedding.shape[-2], embedding.shape[-1])
        given = [coords[chosen], labels[chosen], batch.fed[chosen], batch.image_index[chosen]]
        coords, labels, has, image = (t.to(self.device, non_blocking=True) for t in given)
        fed = None if fed is None else fed.to(self.device)
        with torch.set_grad_enabled(grad):
            prompt = self.net.prompt_encoder(coords, labels, fed, shape, has, batch.cell)
            pe = self.net.prompt_encoder.dense_pe(shape, batch.cell)
            run = self._with_gradient if grad else self._masks
            return run(embedding[image], pe, prompt.tokens, prompt.dense, prompt.valid)

    def _shown(self, embedding: Tensor, batch: Prompted, which: np.ndarray) -> Tensor:
        """(n, S / pitch, S / pitch) logits of the mask that a user would see of each object."""
        logits, predicted = self._decode(embedding, batch, which, grad=False)
        several = batch.several[torch.from_numpy(which)].to(self.device)
        best = torch.where(several, 0, 1 + predicted[:, 1:].argmax(1))
        return logits[torch.arange(len(which), device=self.device), best].float()

    def _masks(
        self, embedding: Tensor, pe: Tensor, tokens: Tensor, dense: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        state = self.net.mask_decoder.decode_tokens(embedding, pe, tokens, dense, valid)
        return self.net.mask_decoder.upscale(state, slice(0, 4)), state.predicted_iou

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.parameters(), self.net.parameters(), strict=True):
            if now.requires_grad:
                mean.lerp_(now, 1 - decay)

    def _draw(self, embedding: Tensor, crops: list[Crop], batch: Prompted) -> None:
        """Write a picture of the first object of up to eight crops."""
        each = len(batch.truth) // len(crops)
        which = np.arange(0, len(batch.truth), each)[:8]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            shown = self._shown(embedding, batch, which)
        masks = (F.interpolate(shown[:, None], scale_factor=batch.pitch, mode="bilinear")[:, 0] > 0).cpu().numpy()
        sheet = [
            picture(crops[k].image, batch.truth[i], mask, batch.points[i])
            for k, (i, mask) in enumerate(zip(which, masks, strict=True))
        ]
        save_sheet(self.out / "pictures" / f"{self.step + 1:06d}.png", sheet)

    def _validate(self, validation: Validation) -> None:
        """Evaluate the averaged weights, and keep them if none before were better."""
        values = validation.score(self.average)
        append_row(self.out / "validation.csv", {"step": self.step, **values})
        if values["iou_1click"] > self.best:
            self.best = values["iou_1click"]
            self._save_net(self.out / "best.safetensors")

    def _batches(self) -> Generator[list[Crop], None, None]:
        """Batches drawn ahead in threads; batch k is the same whenever the run is resumed."""
        config = self.config
        first, last = self.step * config.accumulate, config.steps * config.accumulate  # backward passes

        def draw(index: int) -> list[Crop]:
            rng = np.random.default_rng([config.seed, 0, index])
            return [self.sampler.draw(rng) for _ in range(config.batch)]

        pool = ThreadPoolExecutor(config.workers, thread_name_prefix="crops")
        waiting: deque[Future[list[Crop]]] = deque()
        try:
            for index in range(first, last):
                while len(waiting) <= config.workers + _PREFETCH and index + len(waiting) < last:
                    waiting.append(pool.submit(draw, index + len(waiting)))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def save(self) -> None:
        """Write the averaged weights for use, and the state to resume from; both replace the old atomically.

        Raises
        ------
        TrainingError
            If there is no room; the checkpoint before stays.
        """
        state = {
            "step": self.step,
            "best": self.best,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "config": _plain(self.config),
            "data": self.data,
        }
        self._save_net(self.out / "model.safetensors")
        try:
            with replacing_checkpoint(self.out / "state.pt") as temporary:
                torch.save(state, temporary)
        except CheckpointError as error:
            raise TrainingError(self._unsaved(error)) from error

    def _save_net(self, path: Path) -> None:
        try:
            save_sam(self.average, path, metadata={"step": str(self.step)})
        except CheckpointError as error:
            raise TrainingError(self._unsaved(error)) from error

    def _unsaved(self, error: CheckpointError) -> str:
        return f"step {self.step}: {error}; the checkpoint before is whole: make room and run the same command again"

    def resume(self) -> int:
        """Go on from the last checkpoint in the output folder, if there is one; returns the steps done.

        Raises
        ------
        TrainingError
            If it belongs to another configuration or other data, or cannot be read.
        """
        path = self.out / "state.pt"
        if self.step or not path.exists():  # done before, or nothing to do
            return self.step
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
            then, now = state["config"], _plain(self.config)
            missing = {"data", "net", "average", "optimizer", "step", "best"} - set(state)
            if missing:
                raise KeyError(f"no {min(missing)}")
        except UNREADABLE as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise TrainingError(f"{path}: cannot be read ({reason}); move it away") from error
        for key in sorted(set(then) | set(now)):
            if key not in _MAY_CHANGE and then.get(key) != now.get(key):
                raise TrainingError(
                    f"{path}: belongs to a run with {key} = {then.get(key)!r}, not {now.get(key)!r}; "
                    f'choose another --out, or start = "{self.out / "model.safetensors"}" for a new run from it'
                )
        if state["data"] != self.data:
            raise TrainingError(
                f"{path}: belongs to a run with other data (images or labels have changed); choose another --out"
            )
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        peaks = [group["peak"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, peak in zip(self.optimizer.param_groups, peaks, strict=True):
            group["peak"] = peak
        self.step, self.best = int(state["step"]), float(state["best"])
        return self.step


def _set_mode(net: nn.Module) -> None:
    """Training mode for stochastic depth only: normalisation by batch keeps its statistics."""
    net.train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Only what `torch.load(weights_only=True)` reads."""
    table = asdict(config)
    return {k: [dict(f) for f in v] if k in ("folders", "validation") else v for k, v in table.items()}


def _fingerprint(sets: list[tuple[LabelledImage, ...]]) -> int:
    """CRC-32 over all images and labels, in order."""
    crc = 0
    for pair in (p for pairs in sets for p in pairs):
        crc = zlib.crc32(pair.name.encode(), crc)
        for array in (pair.image, pair.labels):
            crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc


def _mean(values: Tensor) -> float:
    return round(float(values.mean()), 4) if len(values) else float("nan")
