"""Train a copy of a model on pairs of images and labels, and compare both; what a worker of a cluster does too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError
from napari_sam.project.training.compare_models import compare_models
from napari_sam.project.training.training_pairs import COMPLETE, CORRECTED, PARTIAL, VALIDATION
from src_models.checkpoints.checkpoint_files import load_network, save_sam
from src_models.runtime import choose_device
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam.project.training.improve_settings import ImproveSettings
    from napari_sam.project.training.model_versions import Gain
    from napari_sam.project.training.training_pairs import PairFolders
    from src_models.networks.promptable import PromptableNetwork

_CROP_PX = 256
_STEPS = {"cpu": 200}
_STEPS_GPU = 1000
_LORA_RANK = 4
_LAST_BLOCKS = 2


@dataclass(frozen=True)
class TrainingJob:
    """What is trained, and from where.

    Attributes
    ----------
    pairs : PairFolders
        Training and validation data.
    base : str
        Name or checkpoint of the model to start from, and to compare with.
    device : str
        As `Predictor` takes it.
    settings : ImproveSettings
        How it is trained.
    """

    pairs: PairFolders
    base: str
    device: str
    settings: ImproveSettings


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and what it gained.

    Attributes
    ----------
    file : Path
        Its checkpoint.
    iou_1click, clicks_to_085 : Gain
        As from `compare_models`.
    objects : int
        Number of objects compared.
    """

    file: Path
    iou_1click: Gain
    clicks_to_085: Gain
    objects: int


@dataclass(frozen=True)
class TrainingCalls:
    """What is called while a model is trained.

    Attributes
    ----------
    progress : callable, optional
        Called with the part of the work ("training", "comparing"), the number of steps done and their total.
    losses : callable, optional
        Called with each step of the training and its loss; first with those of a run that is continued.
    cancelled : callable, optional
        Called between steps; return True to stop, and what was trained is kept.
    """

    progress: Callable[[str, int, int], None] | None = field(default=None)
    losses: Callable[[int, float], None] | None = field(default=None)
    cancelled: Callable[[], bool] | None = field(default=None)


def train_and_compare(job: TrainingJob, folder: Path, calls: TrainingCalls) -> TrainedModel:
    """Train a copy of a model, and compare both on the validation data.

    Parameters
    ----------
    job : TrainingJob
        What is trained.
    folder : Path
        For checkpoints and measurements; a stopped run in it continues.
    calls : TrainingCalls
        What is called meanwhile.

    Raises
    ------
    TrainingError, ModelError
        If the model cannot be trained in this way.
    CancelledError
        If `calls.cancelled()` returned True.
    """
    net = load_network(job.base)
    config = training_config(job, net)
    _train(Trainer(config, job.pairs.root, folder / "run", job.device), calls)
    model = _finished_model(folder / "run", net, config)
    iou, clicks, compared = compare_models(
        job.pairs.root / VALIDATION,
        job.base,
        str(model),
        folder / "comparison",
        job.device,
        progress=lambda done, total: _report(calls, "comparing", done, total),
        cancelled=calls.cancelled,
    )
    return TrainedModel(model, iou, clicks, compared)


def _train(trainer: Trainer, calls: TrainingCalls) -> None:
    """Train to the last step, or raise `CancelledError`."""
    if calls.losses is not None:
        trained = trainer.resume()
        for step, loss in trainer.folder.column("log", "loss"):
            if step <= trained:  # those after the last checkpoint come again
                calls.losses(step, loss)

    def report(done: int, total: int, values: dict[str, float]) -> None:
        _report(calls, "training", done, total)
        if calls.losses is not None and "loss" in values:
            calls.losses(done, values["loss"])

    trainer.run(report, calls.cancelled)
    if trainer.step < trainer.config.steps:
        raise CancelledError(
            f"stopped at step {trainer.step} of {trainer.config.steps}; what was trained is kept",
            remedy="improve the model again to continue",
        )


def training_config(job: TrainingJob, net: PromptableNetwork) -> TrainConfig:
    """Return the settings of the training run that improves a network."""
    settings, pairs = job.settings, job.pairs
    device = choose_device(job.device).type
    encoder = settings.encoder
    if encoder == "auto":
        encoder = "fixed" if device == "cpu" else "whole"
    has_dense = net.dense_decoder is not None
    weights = {COMPLETE: 1.0, PARTIAL: 1.0, CORRECTED: settings.corrected_weight}
    folders = [
        FolderConfig(name, weight * pairs.images[name], complete=name != PARTIAL)
        for name, weight in weights.items()
        if pairs.images.get(name)
    ]
    steps = settings.steps or _STEPS.get(device, _STEPS_GPU)
    return TrainConfig(
        kind=net.kind,
        start=job.base,
        steps=steps,
        batch=2 if device == "cpu" else 8,
        objects=6,
        crop_px=min(_CROP_PX, int(net.img_size)),
        learning_rate=settings.learning_rate,
        backbone_rate=settings.learning_rate / 4,
        warmup_steps=min(20, steps // 5),
        ema=0.98,
        bf16=device == "cuda",
        dense_weight=0.5 if has_dense and any(folder.complete for folder in folders) else 0.0,
        hypotheses=0.7 if net.kind == "default" else 0.0,
        synthetic_weight=0.0,
        freeze=("image_encoder",) if encoder == "fixed" else (),
        lora_rank=_LORA_RANK if encoder == "low-rank" else 0,
        train_last_blocks=_LAST_BLOCKS if encoder == "last" else 0,
        seed=settings.seed,
        save_every=50,
        picture_every=0,
        folders=tuple(folders),
    )


def _finished_model(run: Path, base: PromptableNetwork, config: TrainConfig) -> Path:
    """Return the trained checkpoint, with the mask judge of the network that it was trained from."""
    trained = run / "model.safetensors"
    if base.mask_judge is None or config.lora_rank:
        return trained
    net = load_network(trained)
    net.mask_judge = base.mask_judge
    finished = run / "judged.safetensors"
    save_sam(net, finished)
    return finished


def _report(calls: TrainingCalls, part: str, done: int, total: int) -> None:
    if calls.progress is not None:
        calls.progress(part, done, total)
