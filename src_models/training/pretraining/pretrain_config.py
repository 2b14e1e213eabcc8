"""Settings of a pre-training run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src_models.model_errors import TrainingError
from src_models.settings import setting, validate
from src_models.training.config_files import from_table, read_toml

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of one pre-training run; every field has its meaning and range in its `SettingInfo`.

    Notes
    -----
    `mask_patch_px` is a multiple of the encoder's stride; 0 stands for the published sizes, 16 for a ViT (He et al.,
    2022) and 32 for other encoders (Xie et al., 2022). `decoder_width`, `decoder_depth` and `decoder_heads` describe
    the decoder around a ViT; other encoders have one linear layer. The published learning rate of MAE is
    1.5e-4 x batch / 256, for very long runs.
    """

    images: tuple[str, ...] = setting((), "folders, files or patterns of images, relative to the data root")
    kind: str = setting("default", "architecture, as build_sam takes it")
    start: str = setting("", 'checkpoint to start from, "imagenet" for the default\'s backbone, "" for random weights')
    steps: int = setting(20000, "optimiser steps; the learning rate falls to zero over them", low=1)
    batch: int = setting(32, "crops per step", low=1)
    crop_px: int = setting(224, "side of a crop, at most that of the network's input", low=1, unit="px")
    mask_ratio: float = setting(0.75, "share of the patches that is hidden", low=0, high=1, above=True, below=True)
    mask_patch_px: int = setting(0, "side of a hidden patch; 0 for the published size", low=0, unit="px")
    learning_rate: float = setting(3e-4, "peak learning rate", low=0, above=True)
    warmup_steps: int = setting(500, "steps of linear warm-up", low=0)
    weight_decay: float = setting(0.05, "weight decay of matrices and kernels", low=0)
    betas: tuple[float, float] = setting((0.9, 0.95), "betas of AdamW")
    decoder_width: int = setting(256, "width of the decoder around a ViT", low=1)
    decoder_depth: int = setting(4, "blocks of the decoder around a ViT", low=1)
    decoder_heads: int = setting(8, "attention heads of the decoder around a ViT", low=1)
    augment: float = setting(0.0, "share of the crops with varied colours, contrast and noise", low=0, high=1)
    bf16: bool = setting(True, "mixed precision")
    seed: int = setting(0, "random seed", low=0)
    save_every: int = setting(200, "steps between checkpoints", low=1)
    picture_every: int = setting(500, "steps between pictures of reconstructions; 0 for none", low=0)

    def __post_init__(self) -> None:
        """Refuse values outside the ranges of the fields, and widths that the heads do not divide."""
        validate(self, TrainingError)
        if not all(isinstance(pattern, str) for pattern in self.images):
            raise TrainingError(f"images is {self.images!r}", parameter="images", remedy="give a list of texts")
        betas: tuple[object, ...] = self.betas
        if len(betas) != 2 or not all(isinstance(v, int | float) and 0 <= v < 1 for v in betas):
            remedy = "give two numbers from 0 and below 1"
            raise TrainingError(f"betas is {self.betas!r}", parameter="betas", remedy=remedy)
        if self.decoder_width % math.lcm(4, self.decoder_heads):
            remedy = f"give a multiple of 4 and of decoder_heads, {self.decoder_heads}"
            raise TrainingError(f"decoder_width is {self.decoder_width}", parameter="decoder_width", remedy=remedy)

    @classmethod
    def from_toml(cls, path: Path) -> PretrainConfig:
        """Read a configuration.

        Raises
        ------
        TrainingError
            If the file cannot be parsed, has an unknown key, or a value of the wrong type or range.
        """
        return from_table(cls, read_toml(path), path)
