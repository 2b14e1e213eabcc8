"""Fixtures that several rooms share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs and data; tests that need it are skipped without it."""
    if not (SHARED / "reference").is_dir():
        pytest.skip("needs ../shared")
    return SHARED


@pytest.fixture(scope="session")
def default_predictor():
    """The shipped model on the CPU, loaded once."""
    from napari_sam import Predictor

    return Predictor("default", device="cpu")


@pytest.fixture(scope="session")
def nuclei():
    """The sample image and its labels."""
    from napari_sam import samples

    return samples.nuclei(), samples.nuclei_labels()


@pytest.fixture
def rng() -> np.random.Generator:
    """Randomness that is the same in every run."""
    return np.random.default_rng(0)
