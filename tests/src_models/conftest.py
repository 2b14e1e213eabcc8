"""Fixtures of the networks' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.src_models.random_decoder import UPSAMPLINGS, random_decoder
from tests.src_models.small_sam2 import small_sam2_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from src_models.networks.sam2.network import Sam2
    from src_models.networks.unetr import UnetrDecoder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute with one thread: many are slower for small tensors on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=UPSAMPLINGS)
def decoder(request: pytest.FixtureRequest) -> UnetrDecoder:
    """An instance decoder with random weights, of each kind."""
    return random_decoder(request.param)


@pytest.fixture(scope="module")
def embedding() -> Tensor:
    """An embedding of two images."""
    return torch.randn(2, 256, 3, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def small_sam2() -> Sam2:
    """A SAM 2 network of 128 x 128 pixels with random weights."""
    return small_sam2_network()


@pytest.fixture(scope="session")
def small_frames() -> list[np.ndarray]:
    """Six frames of a moving texture, (48, 64, 3) uint8."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return [np.roll(image, (2 * t, 3 * t), (0, 1)) for t in range(6)]
