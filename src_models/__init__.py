"""Segment Anything networks: SAM ViT-B/L/H, MobileSAM's TinyViT, SAM 2, and the default model of napari-sam-xl.

Importing this package loads nothing; torch comes with the first name that needs it. Torch's threads sleep while they
wait for each other (`thread_waiting`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from src_models.thread_waiting import set_passive_waiting

if TYPE_CHECKING:
    from src_models.checkpoints.checkpoint_files import load_network, load_sam, load_sam2
    from src_models.networks.build_network import build_network
    from src_models.networks.sam import Sam, build_sam
    from src_models.networks.sam2.network import Sam2, build_sam2
    from src_models.video.video_predictor import Sam2VideoPredictor
    from src_models.video.video_settings import VideoSettings

set_passive_waiting()  # before anything loads torch

__all__ = [
    "Sam",
    "Sam2",
    "Sam2VideoPredictor",
    "VideoSettings",
    "build_network",
    "build_sam",
    "build_sam2",
    "load_network",
    "load_sam",
    "load_sam2",
]

_HOMES = {
    "Sam": "src_models.networks.sam",
    "Sam2": "src_models.networks.sam2.network",
    "Sam2VideoPredictor": "src_models.video.video_predictor",
    "VideoSettings": "src_models.video.video_settings",
    "build_network": "src_models.networks.build_network",
    "build_sam": "src_models.networks.sam",
    "build_sam2": "src_models.networks.sam2.network",
    "load_network": "src_models.checkpoints.checkpoint_files",
    "load_sam": "src_models.checkpoints.checkpoint_files",
    "load_sam2": "src_models.checkpoints.checkpoint_files",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
