"""Build instance decoders of micro-sam from the state dicts of its files."""

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
    """Detect how an instance decoder upsamples.

    Parameters
    ----------
    state : mapping of str to Tensor
        From `src_models.checkpoints.state_dicts.read_state`.
    path : Path
        For messages.

    Returns
    -------
    {"bilinear", "transposed"}
        Argument of `UnetrDecoder`.

    Raises
    ------
    CheckpointError
        If it is not an instance decoder; the message names what it is, where that is known.
    """
    modules = {key.split(".")[0] for key in state}
    if "image_encoder" in modules:
        raise CheckpointError(
            f"{path} holds a SAM network and no instance decoder",
            remedy="give micro-sam's *_decoder.pt file, or a checkpoint that it exported with its decoder",
        )
    if {"encoder", "deconv1"} <= modules:
        raise CheckpointError(
            f"{path} holds a whole UNETR, whose encoder was trained too",
            remedy="export both with micro-sam's export_instance_segmentation_model, and give that file",
        )
    samplers = [key for key in state if key.startswith(_SAMPLERS)]
    if not samplers or "deconv1" not in modules:
        keys = sorted(state)
        raise CheckpointError(
            f"{path} is not an instance decoder of micro-sam, its keys are "
            f"{', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}",
            remedy="give a *_decoder.pt file of micro-sam",
        )
    return "transposed" if any(".block." in key for key in samplers) else "bilinear"


def unetr_from_state(state: Mapping[str, Tensor], path: Path, device: str | torch.device = "cpu") -> UnetrDecoder:
    """Build the decoder of a state dict and fill it.

    Parameters
    ----------
    state : mapping of str to Tensor
        From `src_models.checkpoints.state_dicts.read_state`; its tensors are copied.
    path : Path
        For messages.
    device : str or torch.device
        Device of the weights.

    Returns
    -------
    UnetrDecoder
        In evaluation mode and float32.

    Raises
    ------
    CheckpointError
        If it is not an instance decoder, or its keys, shapes or types do not fit.
    """
    upsampling = detect_upsampling(state, path)
    with torch.device("meta"):  # without random weights; the state dict has every buffer
        decoder = UnetrDecoder(upsampling)
    expected = decoder.state_dict()
    check_fit(state, expected, f"micro-sam's instance decoder ({upsampling})", path)
    weights = {name: state[name].to(device, value.dtype, copy=True).contiguous() for name, value in expected.items()}
    decoder.load_state_dict(weights, assign=True)
    return decoder.eval()
