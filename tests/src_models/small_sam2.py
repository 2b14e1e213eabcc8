"""A SAM 2 network that is small enough to be quick."""

from __future__ import annotations

import torch

from src_models.networks.sam2.config import Sam2Config
from src_models.networks.sam2.network import Sam2

SMALL = Sam2Config(16, 1, (1, 1, 2, 1), (3,), img_size=128)


def small_sam2_network(config: Sam2Config = SMALL, score: float = 3.0) -> Sam2:
    """Return a network of 128 x 128 pixels with random weights.

    Parameters
    ----------
    config : Sam2Config
        Size of the network.
    score : float
        Added to the object score, so that objects are present, or absent if it is negative.
    """
    torch.manual_seed(3)
    net = Sam2(config, "sam2.1_tiny").eval()
    with torch.no_grad():
        for value in net.parameters():
            if value.ndim != 1:
                value.normal_(0, max(1, value[0].numel()) ** -0.5)
        net.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += score  # type: ignore[operator]
    return net.requires_grad_(False)
