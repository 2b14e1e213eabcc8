"""Fixtures that several rooms share."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from src_models.networks.sam2.network import Sam2

# Tests never assert wall time, and too slow a machine is no fault of the examples.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of a file, and all window tests, in one worker process of ``pytest -n``; the windows first.

    Windows of two processes on one display would take the focus from each other.
    """
    items.sort(key=lambda item: "widgets" not in item.path.parent.parts)  # the longest group must not begin last
    for item in items:
        group = "windows" if "widgets" in item.path.parent.parts else item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True)
def _no_open_progress_line(monkeypatch):
    """Begin every test with an empty line on standard error, whatever the last one wrote."""
    from napari_sam.cli import progress_line

    monkeypatch.setattr(progress_line, "_STATE", progress_line._LineState())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs and data; tests that need it are skipped without it."""
    if not (SHARED / "reference").is_dir():
        pytest.skip("needs ../shared")
    return SHARED


@pytest.fixture(scope="session")
def filled_sam2(shared: Path) -> Callable[..., Sam2]:
    """A function that builds a SAM 2 network and fills it with the weights of the reference outputs."""
    from src_models.networks.sam2.network import build_sam2

    sys.path.insert(0, str(shared / "reference"))
    fill = importlib.import_module("fill_sam2").fill_sam2
    sys.path.pop(0)

    def build(kind: str, **how: object) -> Sam2:
        net = build_sam2(kind)
        net.load_state_dict(fill(net.state_dict(), 7, **how))
        return net

    return build


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
