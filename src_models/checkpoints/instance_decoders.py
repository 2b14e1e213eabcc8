"""Instance decoders of micro-sam from the state dicts of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from src_models.checkpoints.state_dicts import check_fit
from src_models.model_errors import CheckpointError
from src_models.networks.unetr import UnetrDecoder, Upsampling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_SAMPLERS = "decoder.samplers."


def detect_upsampling(state: Mapping[str, Tensor], path: Path) -> Upsampling:
    """Tell which of the two kinds of instance decoders a state dict is of.

    Parameters
    ----------
    state : mapping of str to Tensor
        As `src_models.checkpoints.state_dicts.read_state` returns it.
    path : Path
        For messages.

    Returns
    -------
    {"bilinear", "transposed"}
        As `UnetrDecoder` takes it.

    Raises
    ------
    CheckpointError
        If it is of something else; the message says of what, where that is known.
    """
    rooms = {key.split(".")[0] for key in state}
    if "image_encoder" in rooms:
        raise CheckpointError(
            f"{path} holds a SAM network and no instance decoder; give micro-sam's *_decoder.pt file, "
            f"or a checkpoint that it exported with its decoder"
        )
    if {"encoder", "deconv1"} <= rooms:
        raise CheckpointError(
            f"{path} holds a whole UNETR, whose encoder was trained too; "
            f"export both by micro-sam's export_instance_segmentation_model, and give that file"
        )
    samplers = [key for key in state if key.startswith(_SAMPLERS)]
    if not samplers or "deconv1" not in rooms:
        keys = sorted(state)
        raise CheckpointError(
            f"{path} is not an instance decoder of micro-sam, its keys are "
            f"{', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}; give a *_decoder.pt file of micro-sam"
        )
    return "transposed" if any(".block." in key for key in samplers) else "bilinear"


def unetr_from_state(state: Mapping[str, Tensor], path: Path, device: str | torch.device = "cpu") -> UnetrDecoder:
    """Build the decoder that a state dict is for and fill it.

    Parameters
    ----------
    state : mapping of str to Tensor
        As `src_models.checkpoints.state_dicts.read_state` returns it; its tensors are copied.
    path : Path
        For messages.
    device : str or torch.device
        Where the weights go.

    Returns
    -------
    UnetrDecoder
        In evaluation mode and float32.

    Raises
    ------
    CheckpointError
        If it is of something else, or keys are missing or too many, or shapes or types differ.
    """
    upsampling = detect_upsampling(state, path)
    with torch.device("meta"):  # no random weights; no buffer here is left out of the state dict
        decoder = UnetrDecoder(upsampling)
    own = decoder.state_dict()
    check_fit(state, own, f"micro-sam's instance decoder ({upsampling})", path)
    weights = {name: state[name].to(device, value.dtype, copy=True).contiguous() for name, value in own.items()}
    decoder.load_state_dict(weights, assign=True)
    return decoder.eval()
