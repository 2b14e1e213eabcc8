"""Segment Anything networks: SAM ViT-B/L/H, MobileSAM's TinyViT, and the default model of napari-sam-xl.

Importing this package loads nothing; torch comes with the first name that needs it. Torch's threads sleep while they
wait for each other (`thread_waiting`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from src_models.thread_waiting import set_passive_waiting

if TYPE_CHECKING:
    from src_models.checkpoints.checkpoint_files import load_sam
    from src_models.networks.sam import Sam, build_sam

set_passive_waiting()  # before anything loads torch

__all__ = ["Sam", "build_sam", "load_sam"]

_HOMES = {
    "Sam": "src_models.networks.sam",
    "build_sam": "src_models.networks.sam",
    "load_sam": "src_models.checkpoints.checkpoint_files",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
