"""Networks of SAM 2: the recorded ones, and one that is small enough to be quick."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from src_models.networks.sam2.config import Sam2Config
from src_models.networks.sam2.network import Sam2, build_sam2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = Sam2Config(16, 1, (1, 1, 2, 1), (3,), img_size=128)


@pytest.fixture(scope="session")
def filled_sam2(shared: Path) -> Callable[..., Sam2]:
    """Build a network and fill it with the weights of the reference outputs."""
    sys.path.insert(0, str(shared / "reference"))
    fill = importlib.import_module("fill_sam2").fill_sam2
    sys.path.pop(0)

    def build(kind: str, **how: object) -> Sam2:
        net = build_sam2(kind)
        net.load_state_dict(fill(net.state_dict(), 7, **how))
        return net

    return build


@pytest.fixture(scope="session")
def small_sam2() -> Sam2:
    """A network of 128 x 128 pixels with random weights."""
    torch.manual_seed(3)
    net = Sam2(SMALL, "sam2.1_tiny").eval()
    with torch.no_grad():
        for value in net.parameters():
            if value.ndim != 1:
                value.normal_(0, value[0].numel() ** -0.5)
        net.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += 3.0  # type: ignore[operator]
    return net.requires_grad_(False)


@pytest.fixture(scope="session")
def small_frames() -> list[np.ndarray]:
    """Six frames of a moving texture, (48, 64, 3) uint8."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return [np.roll(image, (2 * t, 3 * t), (0, 1)) for t in range(6)]
