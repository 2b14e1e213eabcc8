"""Settings of a training run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src_models.model_errors import TrainingError
from src_models.settings import setting, validate
from src_models.training.config_files import from_table, read_toml

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class FolderConfig:
    """A data set and its share of the batches."""

    path: str = setting(help="folder of pairs, COCO file or OME-Zarr, relative to the data root")
    weight: float = setting(1.0, "relative probability that a crop comes from this data set", low=0)
    include: tuple[str, ...] = setting(("*",), "name patterns; a sample is used if its name matches one of them")
    channels: tuple[int, ...] = setting((), "channels to use as RGB; empty for the first three, or the first")
    complete: bool = setting(True, "every object is labelled, so that the dense decoder can learn from the background")

    def __post_init__(self) -> None:
        """Refuse values outside the ranges of the fields."""
        validate(self, TrainingError)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; every field has its meaning, range and choices in its `SettingInfo`.

    Notes
    -----
    `recipe` decides how prompts are simulated and which masks are trained. "paper" is Segment Anything's: eleven
    rounds for every object, each with its loss; focal and Dice loss on one mask of each. From random weights and little
    data it collapses to empty masks. "quick" learns from the first step: one round with a loss after 0 to 7 without,
    all four masks trained, the best of three most.

    `crops`: "window" cuts around an object, at the scales of the engine's windows; "jitter" is large-scale jitter, the
    whole image scaled by 0.1 to 2 (Ghiasi et al., 2021). `jitter_share` mixes the second into the first.

    `sampling`: "random" draws the data set of every crop by weight; "balanced" gives each data set its share of every
    optimiser step, rounded up or down: with a share of at least 1 / (`batch` * `accumulate`) it is in every step.

    `random_clicks` and `border_clicks` are of the quick recipe; the other clicks are the deepest pixel of the region.

    `schedule`: "cosine" lowers the learning rate to zero; "steps" divides it by ten after 2/3 and after 96.3 % of the
    steps, as in the paper.

    The paper's loss weights are 20 (`pixel_weight`), 1 (`dice_weight`) and 1 (`iou_weight`), with `focal` = 1; it has
    no dense decoder and no augmentation but its jitter.
    """

    kind: str = setting("default", "architecture, as build_sam takes it")
    start: str = setting("imagenet", 'checkpoint or model to start from, "imagenet" for the backbone, "" for random')
    recipe: str = setting("quick", "prompt simulation and trained masks", choices=("quick", "paper"))
    steps: int = setting(4000, "optimiser steps", low=1)
    batch: int = setting(4, "images per backward pass", low=1)
    accumulate: int = setting(1, "backward passes per optimiser step", low=1)
    objects: int = setting(6, "prompted objects per image", low=1)
    crop_px: int = setting(256, "side of the training crop, at most that of the network's input", low=1, unit="px")
    crop_min_px: int = setting(
        0, "smallest side of the crops of a batch, which is drawn up to crop_px; 0 for crop_px always", low=0, unit="px"
    )
    crops: str = setting("window", "how crops are cut", choices=("window", "jitter"))
    jitter_share: float = setting(0.0, "share of the window crops cut by large-scale jitter instead", low=0, high=1)
    paste: float = setting(0.0, "share of the crops that receive objects of others, some touching", low=0, high=1)
    sampling: str = setting("random", "how crops are shared among data sets", choices=("random", "balanced"))
    learning_rate: float = setting(1e-3, "peak rate of everything but the backbone", low=0, above=True)
    backbone_rate: float = setting(3e-4, "peak rate of the default's pre-trained backbone", low=0, above=True)
    layer_decay: float = setting(
        1.0, "rate of an encoder layer as a share of that of the layer above", low=0, high=1, above=True
    )
    drop_path: float = setting(
        0.0, "stochastic depth of a ViT's last block, rising linearly from zero", low=0, high=1, below=True
    )
    freeze: tuple[str, ...] = setting((), 'beginnings of the names of fixed parameters, such as "image_encoder"')
    train_last_blocks: int = setting(
        0, "blocks (or stages) at the end of the image encoder that are trained, its others are fixed; 0 for all", low=0
    )
    lora_rank: int = setting(
        0, "rank of low-rank updates (LoRA) of the image encoder, whose other weights are fixed; 0 for none", low=0
    )
    lora_alpha: float = setting(8.0, "scale of the low-rank updates times their rank", low=0, above=True)
    lora_layers: str = setting("attention", "linear layers with low-rank updates", choices=("attention", "all"))
    warmup_steps: int = setting(150, "steps of linear warm-up", low=0)
    augment: float = setting(1.0, "share of the crops rotated, mirrored and changed in appearance", low=0, high=1)
    schedule: str = setting("cosine", "decay of the learning rate", choices=("cosine", "steps"))
    weight_decay: float = setting(0.03, "weight decay, except of biases and normalisations", low=0)
    beta2: float = setting(0.98, "second beta of AdamW", low=0, high=1, below=True)
    ema: float = setting(0.998, "decay of the averaged weights, which are the ones saved for use", low=0, high=1)
    synthetic_weight: float = setting(1.0, "relative probability of a synthetic crop", low=0)
    synthetic_wide: float = setting(
        0.0,
        "share of the synthetic crops of thin, branching and everyday shapes, with random appearance",
        low=0,
        high=1,
    )
    random_clicks: float = setting(0.5, "share of the clicks anywhere in the region to click", low=0, high=1)
    border_clicks: float = setting(0.0, "share of the clicks near the border of the region to click", low=0, high=1)
    focal: float = setting(0.0, "share of focal loss in the pixel loss, the rest is cross-entropy", low=0, high=1)
    focal_kind: str = setting(
        "plain", "focal loss: of Lin et al., or normalised by its weights as in RITM", choices=("plain", "normalised")
    )
    pixel_weight: float = setting(1.0, "weight of the pixel loss", low=0)
    dice_weight: float = setting(1.0, "weight of the Dice loss", low=0)
    iou_weight: float = setting(1.0, "weight of the predicted IoU's loss", low=0)
    dense_weight: float = setting(0.5, "weight of the dense decoder's loss; 0 for none", low=0)
    hypotheses: float = setting(
        0.0, "share of the prompts with the object of the dense decoder as mask prompt", low=0, high=1
    )
    iou_all: bool = setting(True, "train the predicted IoU of all masks, not only of the trained mask")
    bf16: bool = setting(True, "mixed precision")
    compile: bool = setting(False, "compile the mask decoder's training pass (needs a C++ compiler on a CPU)")
    workers: int = setting(1, "threads that draw crops", low=1)
    seed: int = setting(0, "random seed", low=0)
    save_every: int = setting(100, "steps between checkpoints", low=1)
    picture_every: int = setting(500, "steps between pictures of predictions; 0 for none", low=0)
    validate_every: int = setting(
        0, "steps between evaluations on the validation data; 0 for every checkpoint. The best weights are kept", low=0
    )
    folders: tuple[FolderConfig, ...] = setting((), "training data")
    validation: tuple[FolderConfig, ...] = setting((), "data that is never trained on")

    def __post_init__(self) -> None:
        """Refuse values outside the ranges and choices of the fields."""
        validate(self, TrainingError)
        if not all(isinstance(name, str) for name in self.freeze):
            raise TrainingError(f"freeze is {self.freeze!r}", parameter="freeze", remedy="give a list of texts")
        if self.random_clicks + self.border_clicks > 1:
            message = f"random_clicks + border_clicks is {self.random_clicks + self.border_clicks:g}"
            raise TrainingError(message, parameter="border_clicks", remedy="give shares whose sum is at most 1")

    @classmethod
    def from_toml(cls, path: Path) -> TrainConfig:
        """Read a configuration.

        Raises
        ------
        TrainingError
            If the file cannot be parsed, has an unknown key, or a value of the wrong type or range.
        """
        table = read_toml(path)
        folders, validation = (
            tuple(from_table(FolderConfig, entry, path) for entry in table.pop(name, []))
            for name in ("folders", "validation")
        )
        return dataclasses.replace(from_table(cls, table, path), folders=folders, validation=validation)
