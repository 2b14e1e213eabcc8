"""Settings of training a project's model."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam.errors import ProjectError
from src_models.settings import setting, validate


@dataclass(frozen=True)
class ImproveSettings:
    """How a project's model is trained; every field has its meaning and range in its `SettingInfo`."""

    encoder: str = setting(
        "auto",
        "how much of the image encoder is trained: nothing, low-rank updates, its last blocks, or all of it; auto: "
        "nothing on a CPU, all on a GPU",
        choices=("auto", "fixed", "low-rank", "last", "whole"),
    )
    steps: int = setting(0, "optimiser steps; 0 for 200 on a CPU and 1000 on a GPU", low=0)
    learning_rate: float = setting(2e-4, "peak learning rate", low=0, above=True)
    corrected_weight: float = setting(
        2.0, "relative probability that a crop comes from an image with corrected objects", low=0, above=True
    )
    seed: int = setting(0, "random seed", low=0)

    def __post_init__(self) -> None:
        """Refuse values outside the ranges and choices of the fields."""
        validate(self, ProjectError)
