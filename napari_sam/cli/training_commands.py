"""The commands that make models: ``train``, ``pretrain`` and ``calibrate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine, interruptible
from napari_sam.errors import TrainingError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_PROMISE = "saving and stopping; the same command goes on from here"
_line = ProgressLine("step")


def add_training(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add these commands to the command line.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    for name, run, what in (
        ("train", _train, "train or fine-tune a model"),
        ("pretrain", _pretrain, "pre-train an image encoder without labels"),
    ):
        command = commands.add_parser(
            name, parents=[common], help=what, description=f"{what.capitalize()}. Ctrl+C saves and stops."
        )
        command.add_argument("config", type=Path, nargs="?", help=f"TOML file, or a recipe: {_recipes(name)}")
        command.add_argument("--config", type=Path, dest="config_option", metavar="CONFIG", help="the same, by name")
        command.add_argument("--show", action="store_true", help="print the configuration and do nothing")
        command.add_argument("--data", type=Path, metavar="ROOT", help="folder that the config's paths are relative to")
        command.add_argument("--out", type=Path, metavar="RUN", help="folder of checkpoints and logs")
        command.add_argument("--resume", action="store_true", help="go on with the run in RUN; fail if there is none")
        command.add_argument("--steps", type=int, default=None, help="instead of the config's")
        command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
        command.set_defaults(run=run)

    calibrate = commands.add_parser("calibrate", parents=[common], help="fit a model's predicted IoU to known masks")
    calibrate.add_argument("config", type=Path, help=f"TOML file or recipe that names the folders: {_recipes('train')}")
    calibrate.add_argument("--data", type=Path, required=True, metavar="ROOT", help="folder that its paths are in")
    calibrate.add_argument("--model", default="default", help="name or checkpoint file")
    calibrate.add_argument("--out", type=Path, required=True, metavar="FILE", help="the calibrated checkpoint")
    calibrate.add_argument("--max-images", type=int, default=10, help="images per data set, evenly spread")
    calibrate.add_argument("--per-image", type=int, default=6, help="objects per image, evenly spread")
    calibrate.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    calibrate.set_defaults(run=_calibrate)


def _recipes(command: str) -> str:
    """Names of the configurations for a command, without importing torch."""
    from src_models.training.config_files import recipe_names  # noqa: PLC0415

    return ", ".join(recipe_names(command == "pretrain"))


def _config_of(args: argparse.Namespace) -> Path:
    """The configuration file, given by place or by name; checks that all else is given too."""
    from src_models.training.config_files import find_config  # noqa: PLC0415

    given = [c for c in (args.config, args.config_option) if c is not None]
    if len(given) != 1:
        raise TrainingError(f"give one configuration file, or a recipe: {_recipes(args.command)}")
    path = find_config(given[0], args.command == "pretrain")
    if args.show:
        return path
    missing = [name for name in ("data", "out") if getattr(args, name) is None]
    if missing:
        what = {"data": "--data FOLDER, which holds the images", "out": "--out FOLDER, for what comes of it"}
        raise TrainingError(f"give {what[missing[0]]}")
    if args.resume and not (args.out / "state.pt").exists():
        raise TrainingError(f"{args.out}: no state.pt to resume; leave out --resume to start a new run")
    return path


def _with_steps(config: Any, steps: int | None) -> Any:
    """The configuration with another number of steps."""
    import dataclasses  # noqa: PLC0415

    return config if steps is None else dataclasses.replace(config, steps=steps)


def _report(step: int, steps: int, values: Mapping[str, float]) -> None:
    """One line of progress, written over the last one."""
    shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
    _line(step, steps, f"  {shown}")


def _shown(path: Path) -> None:
    sys.stdout.write(f"# {path}\n{path.read_text()}")


def _train(args: argparse.Namespace) -> Any:
    from src_models.training.config import TrainConfig  # noqa: PLC0415
    from src_models.training.trainer import Trainer  # noqa: PLC0415

    path = _config_of(args)
    config = _with_steps(TrainConfig.from_toml(path), args.steps)
    if args.show:
        return _shown(path)
    trainer = Trainer(config, args.data, args.out, args.device)
    for reason in trainer.skipped:
        sys.stderr.write(f"note: {reason}\n")
    first = trainer.resume()
    if first >= config.steps:
        sys.stderr.write(f"the run in {args.out} is at step {first} already; raise --steps to go on\n")
    with interruptible(_PROMISE) as cancelled:
        trainer.run(_report, cancelled)
    best = args.out / "best.safetensors"
    return {
        "model": str(args.out / "model.safetensors"),
        "best": str(best) if best.exists() else None,
        "steps": trainer.step,
        "notes on the data": len(trainer.skipped),
    }


def _pretrain(args: argparse.Namespace) -> Any:
    from src_models.training.pretraining.pretrain_config import PretrainConfig  # noqa: PLC0415
    from src_models.training.pretraining.pretrainer import pretrain  # noqa: PLC0415

    path = _config_of(args)
    config = _with_steps(PretrainConfig.from_toml(path), args.steps)
    if args.show:
        return _shown(path)
    with interruptible(_PROMISE) as cancelled:
        result = pretrain(config, args.data, args.out, device=args.device, progress=_report, cancelled=cancelled)
    for path, reason in result.skipped.items():
        sys.stderr.write(f"left out: {path}: {reason}\n")
    return {
        "model": str(result.model),
        "steps": result.step,
        "loss": round(result.loss, 4),
        "images": result.images,
        "left out": len(result.skipped),
    }


def _calibrate(args: argparse.Namespace) -> Any:
    from napari_sam.evaluation.experiments.quality_calibration import calibrate  # noqa: PLC0415
    from src_models.training.config import TrainConfig  # noqa: PLC0415
    from src_models.training.config_files import find_config  # noqa: PLC0415

    def report(name: str, count: int) -> None:
        sys.stderr.write(f"{name}: {count} answers\n")

    folders = TrainConfig.from_toml(find_config(args.config)).folders
    answers = calibrate(
        args.model,
        args.data,
        folders,
        args.out,
        images=args.max_images,
        per_image=args.per_image,
        device=args.device,
        progress=report,
    )
    return {"model": str(args.out), "answers": answers}
