"""What a training run is made of, read from a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from src_models.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class FolderConfig:
    """A folder of image/label pairs and its share of the batches.

    Attributes
    ----------
    path : str
        Folder, relative to the data root.
    weight : float
        Relative probability that a crop comes from here.
    include : tuple of str
        File name patterns; a pair is used if its name fits one of them.
    """

    path: str
    weight: float = 1.0
    include: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes
    ----------
    kind : str
        Architecture, as `build_sam` takes it.
    steps : int
        Optimiser steps; the learning rate falls to zero over them (cosine).
    batch : int
        Images per step.
    objects : int
        Objects prompted per image.
    crop_px : int
        Side of the training crop, in pixels of the network's input; at most its size.
    learning_rate : float
        Peak rate of everything but the backbone.
    backbone_rate : float
        Peak rate of a pre-trained backbone.
    warmup_steps : int
        Steps of linear warm-up.
    weight_decay : float
        AdamW's.
    ema : float
        Decay of the averaged weights, which are what is saved for use.
    synthetic_weight : float
        Relative probability of a synthetic crop.
    focal : float
        Share of focal against binary cross-entropy in the pixel loss; the paper's recipe is 1.
    pixel_weight, dice_weight, iou_weight, dense_weight : float
        Weights of the losses; the paper's are 20, 1, 1, 0.
    bf16 : bool
        Mixed precision.
    seed : int
        Of everything random.
    save_every : int
        Steps between checkpoints.
    start : str
        Checkpoint to start from: a path, "imagenet" for the default's backbone, or "" for random weights.
    folders : tuple of FolderConfig
        The data.
    """

    kind: str = "default"
    steps: int = 4000
    batch: int = 4
    objects: int = 6
    crop_px: int = 256
    learning_rate: float = 1e-3
    backbone_rate: float = 3e-4
    warmup_steps: int = 150
    weight_decay: float = 0.03
    ema: float = 0.998
    synthetic_weight: float = 1.0
    focal: float = 0.0
    pixel_weight: float = 1.0
    dice_weight: float = 1.0
    iou_weight: float = 1.0
    dense_weight: float = 0.3
    bf16: bool = True
    seed: int = 0
    save_every: int = 100
    start: str = "imagenet"
    folders: tuple[FolderConfig, ...] = field(default_factory=tuple)

    @classmethod
    def from_toml(cls, path: Path) -> TrainConfig:
        """Read a configuration.

        Raises
        ------
        TrainingError
            If the file cannot be parsed or has a key that means nothing here.
        """
        try:
            raw = tomllib.loads(path.read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise TrainingError(f"{path}: cannot be read as TOML: {error}") from error
        folders = tuple(_checked(FolderConfig, f, path) for f in raw.pop("folders", []))
        config: TrainConfig = dataclasses.replace(_checked(cls, raw, path), folders=folders)
        return config


def _checked(kind: type[Any], raw: dict[str, Any], path: Path) -> Any:
    """Build a dataclass from a table, refusing unknown keys."""
    known = {f.name for f in dataclasses.fields(kind)}
    if unknown := sorted(set(raw) - known):
        raise TrainingError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})
