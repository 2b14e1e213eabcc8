"""Parameter groups, and the learning rate over the steps."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from src_models.model_errors import TrainingError

if TYPE_CHECKING:
    from torch import nn

    from src_models.networks.promptable import PromptableNetwork
    from src_models.training.config import TrainConfig

_BACKBONE = ("image_encoder.stem", "image_encoder.stages")
_LAYER = re.compile(r"image_encoder\.(?:trunk\.)?(?:blocks|layers|stages)\.(\d+)\.")
_INPUT = re.compile(r"image_encoder\.(?:trunk\.)?(?:patch_embed|pos_embed|stem)")
# Steps 60 000 and 86 666 of 90 000, as in the paper.
_DROPS = (60_000 / 90_000, 86_666 / 90_000)


def parameter_groups(net: PromptableNetwork, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the trained parameters by peak rate and weight decay, and freeze the others.

    Parameters
    ----------
    net : PromptableNetwork
        The network; parameters that require no gradient stay fixed.
    config : TrainConfig
        Rates, layer decay and names of frozen parameters.

    Returns
    -------
    list of dict
        Groups for AdamW, each with its ``peak`` rate.

    Raises
    ------
    TrainingError
        If a name to freeze matches no parameter, or nothing is left to train.
    """
    _check_names(config.freeze, net)
    layers = 1 + max((int(m[1]) for m in (_LAYER.match(name) for name, _ in net.named_parameters()) if m), default=0)
    fixed = (*config.freeze, "dense_decoder.") if config.dense_weight == 0 else config.freeze
    trained_layers = config.train_last_blocks or layers + 1
    groups: dict[tuple[bool, int, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if name.startswith(fixed) or not parameter.requires_grad or _distance(name, layers) > trained_layers:
            parameter.requires_grad_(False)
            continue
        # The key is the position, not the rate: a run resumed with other rates has the same groups.
        key = (name.startswith(_BACKBONE), _distance(name, layers), parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    if not groups:
        message = f"freeze is {list(config.freeze)}, which leaves nothing to train"
        raise TrainingError(message, parameter="freeze", remedy="freeze fewer parts")
    return [
        {
            "params": parameters,
            "peak": (config.backbone_rate if backbone else config.learning_rate) * config.layer_decay**distance,
            "weight_decay": config.weight_decay if matrix else 0.0,
        }
        for (backbone, distance, matrix), parameters in groups.items()
    ]


def _check_names(freeze: tuple[str, ...], net: PromptableNetwork) -> None:
    """Refuse beginnings of names that no parameter has."""
    names = [name for name, _ in net.named_parameters()]
    for start in freeze:
        if not any(name.startswith(start) for name in names):
            parts = sorted({name.split(".")[0] for name in names})
            message = f"freeze has {start!r}, which matches no parameter"
            raise TrainingError(message, parameter="freeze", remedy=f"choose from the parts {', '.join(parts)}")


def _distance(name: str, layers: int) -> int:
    """Count the layers between a parameter and the encoder's output; 0 outside the encoder.

    >>> [_distance(f"image_encoder.{n}", 12) for n in ("pos_embed", "blocks.0.norm1.bias", "blocks.11.mlp", "neck.0")]
    [13, 12, 1, 0]
    """
    if layer := _LAYER.match(name):
        return layers - int(layer[1])
    return layers + 1 if _INPUT.match(name) else 0


def rate_factor(step: int, config: TrainConfig) -> float:
    """Return the factor on the peak rates at a step (from 0).

    Examples
    --------
    >>> from src_models.training.config import TrainConfig
    >>> paper = TrainConfig(schedule="steps", steps=90_000, warmup_steps=250)
    >>> [round(rate_factor(s, paper), 4) for s in (0, 249, 59_999, 60_000, 86_666)]
    [0.004, 1.0, 1.0, 0.1, 0.01]
    """
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    done = step / config.steps
    if config.schedule == "steps":
        return float(warm * math.prod(0.1 for drop in _DROPS if done >= drop - 1e-9))
    return max(warm * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))), 0.01 * warm)
