"""Train a project's model on its accepted objects, and compare it with the one in use."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError, ProjectError
from napari_sam.project.training.compare_models import compare_models
from napari_sam.project.training.model_versions import ModelVersion, ModelVersions
from napari_sam.project.training.training_pairs import (
    COMPLETE,
    CORRECTED,
    PARTIAL,
    VALIDATION,
    PairFolders,
    write_pairs,
)
from src_models.checkpoints.checkpoint_files import load_network, save_sam, weights_fingerprint
from src_models.runtime import choose_device
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.project.project_image import ProjectImage
    from napari_sam.project.training.improve_settings import ImproveSettings
    from src_models.networks.promptable import PromptableNetwork

_CROP_PX = 256
_STEPS = {"cpu": 200}
_STEPS_GPU = 1000
_LORA_RANK = 4
_LAST_BLOCKS = 2
_TOLERANCE = 0.005  # IoU that a better model may lose on one click, if it saves clicks


@dataclass(frozen=True)
class ImproveRequest:
    """What is trained, and from where.

    Attributes
    ----------
    images : sequence of ProjectImage
        Images whose accepted objects are trained on.
    base : str
        Name or checkpoint of the model in use.
    versions : ModelVersions
        Versions of the project's model.
    user : str
        Who trains.
    device : str
        As `Predictor` takes it.
    settings : ImproveSettings
        How it is trained.
    """

    images: Sequence[ProjectImage]
    base: str
    versions: ModelVersions
    user: str
    device: str
    settings: ImproveSettings


def improve(
    request: ImproveRequest,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    losses: Callable[[int, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ModelVersion:
    """Train a copy of the model in use, compare both on images that were kept for it, and keep it as a version.

    A run that was stopped or killed continues if images, objects and settings are the same.

    Parameters
    ----------
    request : ImproveRequest
        What is trained.
    progress : callable, optional
        Called with the part of the work ("training", "comparing"), the number of steps done and their total.
    losses : callable, optional
        Called with each step of the training and its loss; first with those of a run that is continued.
    cancelled : callable, optional
        Called between steps; return True to stop, and what was trained is kept.

    Returns
    -------
    ModelVersion
        The new version; it is not in use yet.

    Raises
    ------
    ProjectError
        If fewer than two images have accepted objects.
    TrainingError, ModelError
        If the model cannot be trained in this way.
    CancelledError
        If `cancelled()` returned True.
    """
    net = load_network(request.base)
    folder, pairs = _prepared_run(request, weights_fingerprint(net))
    config = training_config(request, pairs, net)
    _train(Trainer(config, folder / "pairs", folder / "run", request.device), progress, losses, cancelled)
    model = _finished_model(folder / "run", net, config)
    iou, clicks, compared = compare_models(
        folder / "pairs" / VALIDATION,
        request.base,
        str(model),
        folder / "comparison",
        request.device,
        progress=lambda done, total: _report(progress, "comparing", done, total),
        cancelled=cancelled,
    )
    trained = (COMPLETE, CORRECTED, PARTIAL)
    better = (clicks.difference < 0 and iou.difference > -_TOLERANCE) or (clicks.difference <= 0 and iou.difference > 0)

    def version(number: int) -> ModelVersion:
        return ModelVersion(
            number,
            request.base,
            time.time(),
            request.user,
            sum(pairs.images.get(name, 0) for name in trained),
            sum(pairs.objects.get(name, 0) for name in trained),
            pairs.images[VALIDATION],
            compared,
            iou,
            clicks,
            better,
        )

    added = request.versions.add(model, version)
    shutil.rmtree(folder, ignore_errors=True)
    return added


def _train(
    trainer: Trainer,
    progress: Callable[[str, int, int], None] | None,
    losses: Callable[[int, float], None] | None,
    cancelled: Callable[[], bool] | None,
) -> None:
    """Train to the last step, or raise `CancelledError`."""
    if losses is not None:
        trained = trainer.resume()
        for step, loss in trainer.folder.column("log", "loss"):
            if step <= trained:  # those after the last checkpoint come again
                losses(step, loss)

    def report(done: int, total: int, values: dict[str, float]) -> None:
        _report(progress, "training", done, total)
        if losses is not None and "loss" in values:
            losses(done, values["loss"])

    trainer.run(report, cancelled)
    if trainer.step < trainer.config.steps:
        raise CancelledError(
            f"stopped at step {trainer.step} of {trainer.config.steps}; what was trained is kept",
            remedy="improve the model again to continue",
        )


def training_config(request: ImproveRequest, pairs: PairFolders, net: PromptableNetwork) -> TrainConfig:
    """Return the settings of the training run that improves a network.

    Parameters
    ----------
    request : ImproveRequest
        What is trained.
    pairs : PairFolders
        Its training data.
    net : PromptableNetwork
        The network to start from.
    """
    settings = request.settings
    device = choose_device(request.device).type
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
        start=request.base,
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


def _prepared_run(request: ImproveRequest, fingerprint: str) -> tuple[Path, PairFolders]:
    """Write the training data; return the folder of the run, that of an earlier one if it had the same data."""
    root = request.versions.training_folder
    new = root / f"new-{secrets.token_hex(4)}"
    try:
        pairs = write_pairs(request.images, new / "pairs")
        asked = json.dumps([pairs.checksum, fingerprint, asdict(request.settings)], sort_keys=True)
        folder = root / hashlib.sha256(asked.encode()).hexdigest()[:16]
        if not folder.exists():
            new.rename(folder)
    except OSError as error:
        raise ProjectError(
            f"{root}: cannot be written ({error.strerror})", remedy="free some space, and improve the model again"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    for other in root.iterdir():  # runs with other data, which are not continued
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder, replace(pairs, root=folder / "pairs")


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


def _report(progress: Callable[[str, int, int], None] | None, part: str, done: int, total: int) -> None:
    if progress is not None:
        progress(part, done, total)
