"""What a training run is made of, read from a TOML file."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src_models.model_errors import TrainingError

_RECIPES = Path(__file__).with_name("recipes")
_CHOICES = {
    "recipe": ("quick", "paper"),
    "schedule": ("cosine", "steps"),
    "crops": ("window", "jitter"),
}
_POSITIVE = ("steps", "batch", "objects", "crop_px", "accumulate", "save_every", "workers")
_SHARES = ("ema", "focal", "hypotheses", "augment")


@dataclass(frozen=True)
class FolderConfig:
    """A data set and its share of the batches.

    Attributes
    ----------
    path : str
        Folder of pairs, COCO file or OME-Zarr, relative to the data root; see `read_dataset`.
    weight : float
        Relative probability that a crop comes from here.
    include : tuple of str
        Name patterns; a sample is used if its name fits one of them.
    channels : tuple of int
        Channels of the image to show as RGB; the first three (or the first) by default.
    """

    path: str
    weight: float = 1.0
    include: tuple[str, ...] = ("*",)
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if not isinstance(self.path, str):
            raise TrainingError(f"path {self.path!r}: must be a text")
        if not 0 <= self.weight < math.inf:
            raise TrainingError(f"weight {self.weight!r} of {self.path}: must not be below zero")


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes
    ----------
    kind : str
        Architecture, as `build_sam` takes it.
    start : str
        What to start from: a checkpoint's path or a model's name, "imagenet" for the default's backbone, or ""
        for random weights.
    recipe : {"quick", "paper"}
        How prompts are simulated and which masks are trained. "paper" is Segment Anything's: eleven rounds for
        every object, each with its loss; focal and dice on one mask of each. From random weights and little data
        that collapses to empty masks. "quick" learns at once: one round with a loss after 0 to 7 without, all
        four masks trained, the best of three most.
    steps : int
        Optimiser steps.
    batch : int
        Images per backward pass.
    accumulate : int
        Backward passes per optimiser step.
    objects : int
        Objects prompted per image.
    crop_px : int
        Side of the training crop, in pixels of the network's input; at most its size.
    crops : {"window", "jitter"}
        "window" cuts around an object at the scales the engine's windows have; "jitter" is large-scale jitter,
        the whole image scaled by 0.1 to 2 (Ghiasi et al., 2021).
    learning_rate : float
        Peak rate of everything but the backbone.
    backbone_rate : float
        Peak rate of the default's pre-trained backbone.
    layer_decay : float
        Factor on the rate from each layer of the image encoder to the one below it.
    drop_path : float
        Stochastic depth of a ViT's last block; it rises linearly from zero.
    freeze : tuple of str
        Beginnings of names of parameters that stay as they are, such as "image_encoder".
    warmup_steps : int
        Steps of linear warm-up.
    augment : float
        Share of the crops that are turned, mirrored and changed in appearance. The paper has none but its jitter.
    schedule : {"cosine", "steps"}
        The learning rate's way down: to zero, or by ten after 2/3 and after 96.3 % of the steps as in the paper.
    weight_decay : float
        AdamW's; not applied to biases and normalisations.
    beta2 : float
        AdamW's second.
    ema : float
        Decay of the averaged weights, which are what is saved for use.
    synthetic_weight : float
        Relative probability of a synthetic crop.
    focal : float
        Share of focal against binary cross-entropy in the pixel loss; the paper's recipe is 1.
    pixel_weight, dice_weight, iou_weight, dense_weight : float
        Weights of the losses; the paper's are 20, 1, 1, and 0 for the dense decoder, which it has not.
    hypotheses : float
        Share of the prompts that are shown the object which the dense decoder sees there, as a mask prompt.
    iou_all : bool
        Train the predicted IoU of all masks, not only of the one whose mask is trained.
    bf16 : bool
        Mixed precision.
    compile : bool
        Compile the mask decoder's training pass (needs a C++ compiler on a CPU); about a fifth faster.
    workers : int
        Threads that draw crops.
    seed : int
        Of everything random.
    save_every : int
        Steps between checkpoints.
    picture_every : int
        Steps between pictures of predictions; 0 for none.
    validate_every : int
        Steps between evaluations of the averaged weights on `validation`; 0 for every checkpoint. The best so far
        is kept.
    folders : tuple of FolderConfig
        The data.
    validation : tuple of FolderConfig
        Data that is never trained on.
    """

    kind: str = "default"
    start: str = "imagenet"
    recipe: str = "quick"
    steps: int = 4000
    batch: int = 4
    accumulate: int = 1
    objects: int = 6
    crop_px: int = 256
    crops: str = "window"
    learning_rate: float = 1e-3
    backbone_rate: float = 3e-4
    layer_decay: float = 1.0
    drop_path: float = 0.0
    freeze: tuple[str, ...] = ()
    warmup_steps: int = 150
    augment: float = 1.0
    schedule: str = "cosine"
    weight_decay: float = 0.03
    beta2: float = 0.98
    ema: float = 0.998
    synthetic_weight: float = 1.0
    focal: float = 0.0
    pixel_weight: float = 1.0
    dice_weight: float = 1.0
    iou_weight: float = 1.0
    dense_weight: float = 0.5
    hypotheses: float = 0.0
    iou_all: bool = True
    bf16: bool = True
    compile: bool = False
    workers: int = 1
    seed: int = 0
    save_every: int = 100
    picture_every: int = 500
    validate_every: int = 0
    folders: tuple[FolderConfig, ...] = field(default_factory=tuple)
    validation: tuple[FolderConfig, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, known in _CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise TrainingError(f"{name} {value!r}: choose one of {', '.join(known)}")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise TrainingError(f"{name} {getattr(self, name)!r}: must be above zero")
        for name, (met, wanted) in self._conditions().items():
            if not met:
                raise TrainingError(f"{name} {getattr(self, name)!r}: {wanted}")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name} {getattr(self, name)!r}: must lie between 0 and 1")

    def _conditions(self) -> dict[str, tuple[bool, str]]:
        """What must hold of single values, and how to say so."""
        rates = ("learning_rate", "backbone_rate")
        table = {name: (0 < getattr(self, name) < math.inf, "must be above zero") for name in rates}
        weights = ("weight_decay", "synthetic_weight", "pixel_weight", "dice_weight", "iou_weight", "dense_weight")
        table |= {name: (0 <= getattr(self, name) < math.inf, "must not be below zero") for name in weights}
        table["layer_decay"] = (0 < self.layer_decay <= 1, "must be above 0 and at most 1")
        table["drop_path"] = (0 <= self.drop_path < 1, "must be at least 0 and below 1")
        table["beta2"] = (0 <= self.beta2 < 1, "must be at least 0 and below 1")
        table["seed"] = (self.seed >= 0, "must not be below zero")
        table["freeze"] = (all(isinstance(name, str) for name in self.freeze), "must be a list of texts")
        return table

    @classmethod
    def from_toml(cls, path: Path) -> TrainConfig:
        """Read a configuration.

        Raises
        ------
        TrainingError
            If the file cannot be parsed, has a key that means nothing here, or a value of another type.
        """
        raw = read_toml(path)
        tables = {
            name: tuple(checked(FolderConfig, f, path) for f in raw.pop(name, [])) for name in ("folders", "validation")
        }
        config: TrainConfig = dataclasses.replace(checked(cls, raw, path), **tables)
        return config


def recipe_names(pretraining: bool = False) -> tuple[str, ...]:
    """Names of the configurations that come with the package, for training or for pre-training."""
    return tuple(sorted(p.stem for p in _RECIPES.glob("*.toml") if p.stem.startswith("pretrain") == pretraining))


def find_config(name: Path, pretraining: bool = False) -> Path:
    """A configuration file: a path, or the name of one that comes with the package.

    Raises
    ------
    TrainingError
        If it is neither, or a recipe for the other kind of run.
    """
    if name.exists() or name.suffix:
        return name
    if str(name) in recipe_names(not pretraining):
        command = "train" if pretraining else "pretrain"
        raise TrainingError(f"{name} is a recipe for 'napari-sam {command}'")
    if str(name) not in recipe_names(pretraining):
        known = ", ".join(recipe_names(pretraining))
        raise TrainingError(f"{name}: no such file, and no recipe of that name; there are {known}")
    return _RECIPES / f"{name}.toml"


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises
    ------
    TrainingError
        If it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path}: cannot be read as TOML: {error}") from error


def checked(kind: type[Any], raw: dict[str, Any], path: Path) -> Any:
    """Build a dataclass from a TOML table.

    Parameters
    ----------
    kind : type
        The dataclass; every field has a default, or is required.
    raw : dict of str to Any
        The table.
    path : Path
        For messages.

    Raises
    ------
    TrainingError
        If the table has an unknown key, lacks a required one, or a value's type is not its default's.
    """
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(raw) - set(fields)):
        close = difflib.get_close_matches(unknown[0], fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(fields))}"
        raise TrainingError(f"{path}: unknown key {unknown[0]!r}; {hint}")
    values = {}
    for name, value in raw.items():
        default = fields[name].default
        value = tuple(value) if isinstance(value, list) else value
        if default is not dataclasses.MISSING and not _fits(value, default):
            wanted = "list" if isinstance(default, tuple) else type(default).__name__
            raise TrainingError(f"{path}: {name} = {value!r} should be of type {wanted}, as in {name} = {default!r}")
        values[name] = value
    missing = [n for n, f in fields.items() if n not in values and _required(f)]
    if missing:
        raise TrainingError(f"{path}: {missing[0]!r} is missing")
    try:
        return kind(**values)
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from error


def _required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _fits(value: Any, default: Any) -> bool:
    """Whether a value may stand where the default does: the same type, or an integer for a float."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))
