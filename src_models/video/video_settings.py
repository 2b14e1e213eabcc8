"""Settings of tracking through a video."""

from __future__ import annotations

from dataclasses import dataclass

from src_models.networks.sam2.config import POINTER_FRAMES
from src_models.settings import setting, validate


@dataclass(frozen=True)
class VideoSettings:
    """Settings of `Sam2VideoPredictor`, which bound its memory."""

    history_frames: int = setting(
        POINTER_FRAMES,
        "tracked frames that each object remembers; earlier ones are dropped, prompted ones are kept",
        low=POINTER_FRAMES,
        unit="frames",
    )
    prompted_frames: int = setting(
        32, "prompted frames that a frame is compared with: the nearest in time", low=1, unit="frames"
    )
    cached_frames: int = setting(4, "frames whose image features are held", low=1, unit="frames")
    objects_per_batch: int = setting(8, "objects that the network follows at once", low=1)

    def __post_init__(self) -> None:
        """Refuse values outside the ranges of the fields."""
        validate(self)
