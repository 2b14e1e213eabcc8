"""Train a project's model on its accepted objects, and compare it with the one in use."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.errors import ProjectError
from napari_sam.project.training.cluster_training import train_on_cluster
from napari_sam.project.training.model_versions import ModelVersion, ModelVersions
from napari_sam.project.training.train_and_compare import TrainingCalls, TrainingJob, train_and_compare
from napari_sam.project.training.training_pairs import (
    COMPLETE,
    CORRECTED,
    PARTIAL,
    VALIDATION,
    PairFolders,
    write_pairs,
)
from src_models.checkpoints.checkpoint_files import load_network, weights_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.project.project_image import ProjectImage
    from napari_sam.project.training.improve_settings import ImproveSettings

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
    client : distributed.Client, optional
        Cluster on which it is trained, instead of in this process.
    """

    images: Sequence[ProjectImage]
    base: str
    versions: ModelVersions
    user: str
    device: str
    settings: ImproveSettings
    client: object = None


def improve(
    request: ImproveRequest,
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
    progress, losses, cancelled : callable, optional
        As in `TrainingCalls`.

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
    folder, pairs = _prepared_run(request, weights_fingerprint(load_network(request.base)))
    calls = TrainingCalls(progress, losses, cancelled)
    job = TrainingJob(pairs, request.base, request.device, request.settings)
    if request.client is None:
        trained = train_and_compare(job, folder, calls)
    else:
        trained = train_on_cluster(job, folder, calls, request.client)
    iou, clicks = trained.iou_1click, trained.clicks_to_085
    learned = (COMPLETE, CORRECTED, PARTIAL)
    better = (clicks.difference < 0 and iou.difference > -_TOLERANCE) or (clicks.difference <= 0 and iou.difference > 0)

    def version(number: int) -> ModelVersion:
        return ModelVersion(
            number,
            request.base,
            time.time(),
            request.user,
            sum(pairs.images.get(name, 0) for name in learned),
            sum(pairs.objects.get(name, 0) for name in learned),
            pairs.images[VALIDATION],
            trained.objects,
            iou,
            clicks,
            better,
        )

    added = request.versions.add(trained.file, version)
    shutil.rmtree(folder, ignore_errors=True)
    return added


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
