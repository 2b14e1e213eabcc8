"""Instance decoders for tests."""

from __future__ import annotations

import torch

from src_models.networks.unetr import UnetrDecoder, Upsampling

UPSAMPLINGS: tuple[Upsampling, ...] = ("bilinear", "transposed")


def random_decoder(upsampling: Upsampling) -> UnetrDecoder:
    """Build a decoder with random weights, in which the normalisations have an effect."""
    torch.manual_seed(3)
    decoder = UnetrDecoder(upsampling).eval()
    for name, value in decoder.state_dict().items():
        if ".block.2." in name and value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return decoder
