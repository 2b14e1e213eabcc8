"""What a pre-training run is made of, read from a TOML file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src_models.model_errors import TrainingError
from src_models.training.config import checked, read_toml

if TYPE_CHECKING:
    from pathlib import Path

_LEAST = {
    "steps": 1,
    "batch": 1,
    "crop_px": 1,
    "mask_patch_px": 0,
    "warmup_steps": 0,
    "decoder_width": 1,
    "decoder_depth": 1,
    "decoder_heads": 1,
    "seed": 0,
    "save_every": 1,
    "picture_every": 0,
}


@dataclass(frozen=True)
class PretrainConfig:
    """One pre-training run.

    Attributes
    ----------
    images : tuple of str
        Folders (with all below them), files or patterns of images, relative to the data root.
    kind : str
        Architecture, as `build_sam` takes it.
    start : str
        Checkpoint to start from: a path, "imagenet" for the default's backbone, or "" for random weights.
    steps : int
        Optimiser steps; the learning rate falls to zero over them (cosine).
    batch : int
        Crops per step.
    crop_px : int
        Side of a crop, in pixels of the network's input; at most its size.
    mask_ratio : float
        Share of the patches that is hidden.
    mask_patch_px : int
        Side of a hidden patch, a multiple of the encoder's stride; 0 for the published sizes, 16 for ViTs
        (He et al., 2022) and 32 for others (Xie et al., 2022).
    learning_rate : float
        Peak rate of AdamW. MAE's is 1.5e-4 x batch / 256, of very long runs.
    warmup_steps : int
        Steps of linear warm-up.
    weight_decay : float
        AdamW's, of matrices and kernels only.
    betas : (float, float)
        AdamW's.
    decoder_width, decoder_depth, decoder_heads : int
        Of the decoder around a ViT; other encoders have one linear layer.
    augment : float
        Share of the crops whose colours, contrast and noise vary as in training. MAE does without.
    bf16 : bool
        Mixed precision.
    seed : int
        Of everything random.
    save_every : int
        Steps between checkpoints.
    picture_every : int
        Steps between pictures of what the network guesses; 0 for none.
    """

    images: tuple[str, ...] = ()
    kind: str = "default"
    start: str = ""
    steps: int = 20000
    batch: int = 32
    crop_px: int = 224
    mask_ratio: float = 0.75
    mask_patch_px: int = 0
    learning_rate: float = 3e-4
    warmup_steps: int = 500
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    decoder_width: int = 256
    decoder_depth: int = 4
    decoder_heads: int = 8
    augment: float = 0.0
    bf16: bool = True
    seed: int = 0
    save_every: int = 200
    picture_every: int = 500

    def __post_init__(self) -> None:
        """Refuse values that no run could use."""
        for name, least in _LEAST.items():
            if (value := getattr(self, name)) < least:
                raise TrainingError(f"{name} {value!r}: must be at least {least}")
        conditions = {
            "images": (all(isinstance(place, str) for place in self.images), "must be a list of texts"),
            "mask_ratio": (0 < self.mask_ratio < 1, "must lie between 0 and 1, and be neither"),
            "learning_rate": (0 < self.learning_rate < math.inf, "must be above zero"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "must not be below zero"),
            "augment": (0 <= self.augment <= 1, "must lie between 0 and 1"),
            "betas": (_are_betas(self.betas), "must be two numbers of at least 0 and below 1"),
            "decoder_width": (
                self.decoder_width % math.lcm(4, self.decoder_heads) == 0,
                f"must be a multiple of 4 and of decoder_heads, {self.decoder_heads}",
            ),
        }
        for name, (met, wanted) in conditions.items():
            if not met:
                raise TrainingError(f"{name} {getattr(self, name)!r}: {wanted}")

    @classmethod
    def from_toml(cls, path: Path) -> PretrainConfig:
        """Read a configuration.

        Raises
        ------
        TrainingError
            If the file cannot be parsed, has a key that means nothing here, or a value that cannot be used.
        """
        config: PretrainConfig = checked(cls, read_toml(path), path)
        return config


def _are_betas(values: tuple[Any, ...]) -> bool:
    return len(values) == 2 and all(isinstance(v, int | float) and 0 <= v < 1 for v in values)
