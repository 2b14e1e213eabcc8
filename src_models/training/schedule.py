"""Which parameters learn, how fast, and when."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from src_models.model_errors import TrainingError

if TYPE_CHECKING:
    from torch import nn

    from src_models.networks.sam import Sam
    from src_models.training.config import TrainConfig

_BACKBONE = ("image_encoder.stem", "image_encoder.stages")
_LAYER = re.compile(r"image_encoder\.(?:blocks|layers|stages)\.(\d+)\.")
_INPUT = re.compile(r"image_encoder\.(?:patch_embed|pos_embed|stem)")
# The paper's 60 000th and 86 666th of 90 000 steps.
_DROPS = (60_000 / 90_000, 86_666 / 90_000)


def parameter_groups(net: Sam, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the parameters that learn by their peak rate and weight decay, and freeze the others.

    Parameters
    ----------
    net : Sam
        The network.
    config : TrainConfig
        Rates, layer decay, frozen names.

    Returns
    -------
    list of dict
        For AdamW, each with its ``peak`` rate.

    Raises
    ------
    TrainingError
        If a frozen name fits no parameter, or nothing is left to learn.
    """
    names = [name for name, _ in net.named_parameters()]
    for start in config.freeze:
        if not any(name.startswith(start) for name in names):
            parts = sorted({name.split(".")[0] for name in names})
            raise TrainingError(f"freeze {start!r} fits no parameter; the network's parts are {', '.join(parts)}")
    layers = 1 + max((int(m[1]) for m in map(_LAYER.match, names) if m), default=0)
    groups: dict[tuple[bool, int, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        frozen = name.startswith(config.freeze) if config.freeze else False
        if frozen or (name.startswith("dense_decoder.") and config.dense_weight == 0):
            parameter.requires_grad_(False)
            continue
        # Keyed by place, not by rate: a run that is resumed with other rates has the same groups.
        key = (name.startswith(_BACKBONE), _distance(name, layers), parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    if not groups:
        raise TrainingError(f"freeze {list(config.freeze)}: nothing is left to learn")
    return [
        {
            "params": parameters,
            "peak": (config.backbone_rate if backbone else config.learning_rate) * config.layer_decay**distance,
            "weight_decay": config.weight_decay if matrix else 0.0,
        }
        for (backbone, distance, matrix), parameters in groups.items()
    ]


def _distance(name: str, layers: int) -> int:
    """How many layers lie between a parameter and the encoder's output; 0 outside the encoder.

    >>> [_distance(f"image_encoder.{n}", 12) for n in ("pos_embed", "blocks.0.norm1.bias", "blocks.11.mlp", "neck.0")]
    [13, 12, 1, 0]
    """
    if layer := _LAYER.match(name):
        return layers - int(layer[1])
    return layers + 1 if _INPUT.match(name) else 0


def rate_factor(step: int, config: TrainConfig) -> float:
    """What the peak rates are multiplied by at a step (from 0).

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
