"""Low-rank updates of linear layers (LoRA): few weights to train, and a small file to keep."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from src_models.model_errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYERS = ("attention", "all")  # of an encoder block that may be updated
_BLOCK = re.compile(r"(?:^|\.)(?:trunk\.)?(?:blocks|layers)\.(\d+)\.")
_PARAMETRIZATION = ".parametrizations."  # of torch, in the names of parameters
_ATTENTION = re.compile(r"\.attn\.(?:qkv|proj)$")


class LowRankUpdate(nn.Module):
    """Add the product of two thin matrices to a weight: W + scale * B A.

    B is zero at first, so that the network is unchanged. Source: Hu et al., 2022, "LoRA: Low-Rank Adaptation of Large
    Language Models", section 4.1.

    Parameters
    ----------
    weight : Tensor
        (m, n), the weight of a linear layer.
    rank : int
        Rank of the update.
    scale : float
        Factor on the update, alpha / rank in the paper.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.lora_a = nn.Parameter(torch.empty(rank, weight.shape[1], device=weight.device))
        self.lora_b = nn.Parameter(torch.zeros(weight.shape[0], rank, device=weight.device))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the updated weight (m, n)."""
        return weight + (self.scale * (self.lora_b @ self.lora_a)).to(weight.dtype)


def add_low_rank(
    encoder: nn.Module, rank: int, alpha: float, layers: str = "attention", last_blocks: int = 0
) -> list[str]:
    """Add low-rank updates to linear layers of an image encoder, and fix all its other parameters.

    Parameters
    ----------
    encoder : nn.Module
        A ViT, TinyViT or Hiera, whose blocks have the key ``blocks`` or ``layers``.
    rank, alpha : int, float
        Rank of the updates, and their scale times the rank.
    layers : {"attention", "all"}
        Update the projections of the attention only, or all linear layers of the blocks.
    last_blocks : int
        Number of blocks at the encoder's end that are updated; 0 for all.

    Returns
    -------
    list of str
        Names of the updated layers.

    Raises
    ------
    TrainingError
        If the encoder has no such layers.
    """
    encoder.requires_grad_(False)
    names = list(_linear_layers(encoder, layers, last_blocks))
    if not names:
        raise TrainingError(
            f"lora_rank is {rank}, and {type(encoder).__name__} has no attention layers",
            parameter="lora_rank",
            remedy="set it to 0, and train_last_blocks or freeze to train a part of this encoder",
        )
    for name in names:
        layer = cast("nn.Linear", encoder.get_submodule(name))
        parametrize.register_parametrization(layer, "weight", LowRankUpdate(layer.weight, rank, alpha / rank))
    return names


def _linear_layers(encoder: nn.Module, layers: str, last_blocks: int) -> Iterator[str]:
    blocks = {name: int(found[1]) for name, _ in encoder.named_modules() if (found := _BLOCK.search(f"{name}."))}
    first = max(blocks.values(), default=0) + 1 - last_blocks if last_blocks else 0
    for name, module in encoder.named_modules():
        wanted = layers == "all" or _ATTENTION.search(name)
        if isinstance(module, nn.Linear) and wanted and blocks.get(name, -1) >= first:
            yield name


def low_rank_updates(net: nn.Module) -> dict[str, LowRankUpdate]:
    """Return the low-rank updates of a network, by the names of their layers."""
    modules = net.named_modules()
    return {name.split(_PARAMETRIZATION)[0]: module for name, module in modules if isinstance(module, LowRankUpdate)}


def merge_low_rank(net: nn.Module) -> None:
    """Replace every updated weight by its value, so that the network is a plain one again."""
    for name in low_rank_updates(net):
        parametrize.remove_parametrizations(net.get_submodule(name), "weight", leave_parametrized=True)
