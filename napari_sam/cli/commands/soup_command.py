"""The command ``soup``, which averages checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.errors import TrainingError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from src_models.networks.sam import Sam


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("models", nargs="+", metavar="MODEL", help="checkpoint files of one kind and one start")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="averaged checkpoint to write")
    command.add_argument(
        "--choose",
        type=Path,
        metavar="CONFIG",
        help="average only those models that raise the score on the validation data of this configuration",
    )
    command.add_argument("--data", type=Path, metavar="ROOT", help="folder that the configuration's paths start from")


def _soup(args: argparse.Namespace) -> Result:
    from src_models.checkpoints.checkpoint_files import load_sam, save_sam  # noqa: PLC0415 - imports torch
    from src_models.training.weight_soup import greedy_soup, mean_network  # noqa: PLC0415

    score = None if args.choose is None else _score(args)
    nets = [load_sam(model) for model in args.models]
    if score is None:
        net, chosen = mean_network(nets), list(range(len(nets)))
        result: dict[str, object] = {}
    else:
        net, chosen, best = greedy_soup(nets, score)
        result = {"iou_1click": round(best, 4)}
    save_sam(net, args.out)
    return {"model": str(args.out), "averaged": [args.models[i] for i in chosen], **result}


def _score(args: argparse.Namespace) -> Callable[[Sam], float]:
    """Return a function that rates a network on the validation data.

    Raises
    ------
    TrainingError
        If the folder of the data is not given, or the configuration names no validation data.
    """
    from src_models.networks.sam import build_sam  # noqa: PLC0415 - imports torch
    from src_models.training.config import TrainConfig  # noqa: PLC0415
    from src_models.training.config_files import find_config  # noqa: PLC0415
    from src_models.training.data.training_data import validation_sets  # noqa: PLC0415
    from src_models.training.validation import Validation  # noqa: PLC0415

    if args.data is None:
        raise TrainingError("data is missing", parameter="data", remedy="give --data FOLDER, the folder of the images")
    config = TrainConfig.from_toml(find_config(args.choose))
    if not config.validation:
        message = f"{args.choose} names no validation data"
        raise TrainingError(message, parameter="choose", remedy="add [[validation]]")
    sets = validation_sets(config, args.data)
    validation = Validation(sets, config, build_sam(config.kind).img_size)
    return lambda net: validation.score(net)["iou_1click"]


SOUP = Command("soup", "average the weights of several checkpoints", _soup, _add_options)
