"""Fixtures of the networks' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.src_models.random_decoder import UPSAMPLINGS, random_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

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
