"""The commands that make models: ``train``, ``pretrain`` and ``calibrate``."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_sam.cli.command import Command, Result
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.options import add_device_option
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.cli.setting_options import SettingOption, add_settings, settings_from
from napari_sam.errors import TrainingError
from napari_sam.evaluation.evaluation_settings import CalibrationSettings
from src_models.training.config import TrainConfig

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from src_models.training.pretraining.pretrain_config import PretrainConfig

Config = TypeVar("Config", TrainConfig, "PretrainConfig")
_TEXT = "text"  # in the place of a configuration
_STOP_MESSAGE = "saving and stopping; continue with the same command"
_INPUTS = {
    "data": "--data FOLDER, the folder of the images",
    "out": "--out FOLDER, for checkpoints and logs",
}


def _recipes(command: str) -> str:
    """Return the names of a command's recipes, without importing torch."""
    from src_models.training.config_files import recipe_names  # noqa: PLC0415 - the command line starts quickly

    return ", ".join(recipe_names(command == "pretrain"))


def _add_run_options(name: str, command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, nargs="?", help=f"TOML file, or a recipe: {_recipes(name)}")
    command.add_argument("--config", type=Path, dest="config_option", metavar="CONFIG", help="the same, by name")
    command.add_argument("--show", action="store_true", help="print the configuration and do nothing")
    command.add_argument("--data", type=Path, metavar="ROOT", help="folder that the configuration's paths start from")
    command.add_argument("--out", type=Path, metavar="RUN", help="folder for checkpoints and logs")
    command.add_argument("--resume", action="store_true", help="continue the run in RUN; fail if there is none")
    if name == "train":
        command.add_argument(
            "--clip", metavar="MODEL", help="with 'train text': folder of CLIP, or its name in the Hub's cache"
        )
        command.add_argument("--model", default="default", help="with 'train text': model to train (default: default)")
    add_settings(command, TrainConfig, {"steps": SettingOption(metavar="STEPS", default="the configuration's")})
    add_device_option(command)


def _add_calibrate_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, help=f"TOML file or recipe that names the folders: {_recipes('train')}")
    command.add_argument(
        "--data", type=Path, required=True, metavar="ROOT", help="folder that the configuration's paths start from"
    )
    command.add_argument("--model", default="default", help="name or checkpoint file (default: default)")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="calibrated checkpoint to write")
    sizes = {
        "images": SettingOption("--max-images", metavar="MAX_IMAGES"),
        "per_image": SettingOption(metavar="PER_IMAGE"),
        "synthetic": SettingOption(metavar="SYNTHETIC"),
    }
    add_settings(command, CalibrationSettings, sizes, defaults=True)
    add_device_option(command)


def _config_path(args: argparse.Namespace) -> Path:
    """Return the configuration file, given by position or by name.

    Raises
    ------
    TrainingError
        If the configuration, the data or the output folder is missing, or there is no run to resume.
    """
    from src_models.training.config_files import find_config  # noqa: PLC0415 - the command line starts quickly

    given = [c for c in (args.config, args.config_option) if c is not None]
    if len(given) != 1:
        raise TrainingError(
            f"{len(given)} configurations are given", remedy=f"give one TOML file or recipe: {_recipes(args.command)}"
        )
    path = find_config(given[0], args.command == "pretrain")
    if args.show:
        return path
    for name, remedy in _INPUTS.items():
        if getattr(args, name) is None:
            raise TrainingError(f"{name} is missing", parameter=name, remedy=f"give {remedy}")
    if args.resume and not (args.out / "state.pt").exists():
        raise TrainingError(
            f"{args.out}: no state.pt to resume", parameter="resume", remedy="leave out {resume} to start a new run"
        )
    return path


def _load_config(args: argparse.Namespace, kind: type[Config]) -> Config | None:
    """Load the configuration with ``--steps``; with ``--show``, print it and return None."""
    path = _config_path(args)
    config = kind.from_toml(path)
    if args.show:
        sys.stdout.write(f"# {path}\n{path.read_text()}")
        return None
    return config if args.steps is None else dataclasses.replace(config, steps=args.steps)


def step_reporter(line: Callable[[int, int, str], None]) -> Callable[[int, int, Mapping[str, float]], None]:
    """Return a callback of training that writes step and losses to a progress line."""

    def report(step: int, steps: int, values: Mapping[str, float]) -> None:
        line(step, steps, "  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items()))

    return report


def _train_text(args: argparse.Namespace) -> Result:
    """Train a model to take phrases, with CLIP's embeddings of objects."""
    from napari_sam.text.detectors.trained_text import load_clip, save_trained  # noqa: PLC0415 - imports torch
    from src_models import load_sam  # noqa: PLC0415
    from src_models.training.text.text_training import TextTraining, train_text  # noqa: PLC0415

    inputs = {**_INPUTS, "clip": "--clip FOLDER, of CLIP"}
    for name, remedy in inputs.items():
        if getattr(args, name) is None:
            raise TrainingError(f"{name} is missing", parameter=name, remedy=f"give {remedy}")
    settings = TextTraining() if args.steps is None else TextTraining(steps=args.steps)
    clip, net = load_clip(args.clip), load_sam(args.model)
    with interruptible("saving and stopping") as cancelled:
        projection = train_text(net, clip, args.data, settings, step_reporter(ProgressLine("step")), cancelled)
    return {"model": str(save_trained(net, projection, args.clip, args.out)), "steps": settings.steps}


def _train(args: argparse.Namespace) -> Result:
    if str(args.config or args.config_option) == _TEXT:
        return _train_text(args)
    if args.clip is not None:
        raise TrainingError(f"clip {args.clip}", parameter="clip", remedy="use it with 'train text'")
    from src_models.training.trainer import Trainer  # noqa: PLC0415

    config = _load_config(args, TrainConfig)
    if config is None:
        return None
    trainer = Trainer(config, args.data, args.out, args.device)
    for reason in trainer.skipped:
        sys.stderr.write(f"note: {reason}\n")
    first = trainer.resume()
    if first >= config.steps:
        sys.stderr.write(f"the run in {args.out} is already at step {first}; raise --steps to continue\n")
    with interruptible(_STOP_MESSAGE) as cancelled:
        trainer.run(step_reporter(ProgressLine("step")), cancelled)
    best = args.out / "best.safetensors"
    return {
        "model": str(args.out / "model.safetensors"),
        "best": str(best) if best.exists() else None,
        "steps": trainer.step,
        "notes on the data": len(trainer.skipped),
    }


def _pretrain(args: argparse.Namespace) -> Result:
    from src_models.training.pretraining.pretrain_config import PretrainConfig  # noqa: PLC0415 - imports torch
    from src_models.training.pretraining.pretrainer import pretrain  # noqa: PLC0415

    config = _load_config(args, PretrainConfig)
    if config is None:
        return None
    report = step_reporter(ProgressLine("step"))
    with interruptible(_STOP_MESSAGE) as cancelled:
        result = pretrain(config, args.data, args.out, device=args.device, progress=report, cancelled=cancelled)
    for path, reason in result.skipped.items():
        sys.stderr.write(f"left out: {path}: {reason}\n")
    return {
        "model": str(result.model),
        "steps": result.step,
        "loss": round(result.loss, 4),
        "images": result.images,
        "left out": len(result.skipped),
    }


def _calibrate(args: argparse.Namespace) -> Result:
    from napari_sam.evaluation.experiments.quality_calibration import calibrate  # noqa: PLC0415 - imports torch
    from src_models.training.config_files import find_config  # noqa: PLC0415

    def report(name: str, count: int) -> None:
        sys.stderr.write(f"{name}: {count} predictions\n")

    answers = calibrate(
        args.model,
        args.data,
        TrainConfig.from_toml(find_config(args.config)).folders,
        args.out,
        settings_from(args, CalibrationSettings),
        progress=report,
    )
    return {"model": str(args.out), "answers": answers}


TRAIN = Command(
    "train",
    "train or fine-tune a model",
    _train,
    partial(_add_run_options, "train"),
    details="Ctrl+C saves and stops.",
)
PRETRAIN = Command(
    "pretrain",
    "pre-train an image encoder without labels",
    _pretrain,
    partial(_add_run_options, "pretrain"),
    details="Ctrl+C saves and stops.",
)
CALIBRATE = Command("calibrate", "fit a model's predicted IoU to known masks", _calibrate, _add_calibrate_options)
