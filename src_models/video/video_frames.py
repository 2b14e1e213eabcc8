"""Frames of a video as the network takes them, and a bounded cache of their features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from PIL import Image

from src_models.lru import LRU
from src_models.model_errors import VideoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from src_models.video.frame_tracker import FrameFeatures


class Frames(Protocol):
    """Frames that are read when they are needed, such as a list of arrays or a lazy stack."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        """Return a frame: (H, W, 3) RGB or (H, W) grey, uint8."""
        ...


class VideoFrames:
    """Read, check and encode frames; the features of a frame are computed once for all objects.

    Parameters
    ----------
    frames : Frames
        The video.
    encode : callable
        Return the features of a frame, (3, S, S) float at the size of the network's input.
    side : int
        Side S of the network's input, in pixels.
    limit : int
        Number of frames whose features are held.
    device : torch.device
        Device of the network.

    Attributes
    ----------
    encoded : int
        Number of frames that were encoded so far.
    """

    def __init__(
        self,
        frames: Frames,
        encode: Callable[[Tensor], FrameFeatures],
        side: int,
        limit: int,
        device: torch.device,
    ) -> None:
        if len(frames) == 0:
            raise VideoError("the video has no frames", parameter="frames", remedy="give at least one frame")
        self._frames, self._encode, self._side, self._device = frames, encode, side, device
        self._features: LRU[int, FrameFeatures] = LRU(limit_count=limit)
        self._shapes: LRU[int, tuple[int, int]] = LRU(limit_count=4096)
        self.encoded = 0

    def __len__(self) -> int:
        return len(self._frames)

    def check(self, index: int) -> None:
        """Raise `VideoError` if there is no such frame."""
        if not 0 <= index < len(self):
            raise VideoError(
                f"frame is {index}, and the video has {len(self)} frames",
                parameter="frame",
                remedy=f"give an index from 0 to {len(self) - 1}",
            )

    def shape(self, index: int) -> tuple[int, int]:
        """Return height and width of a frame, in pixels."""
        shape = self._shapes.get(index)
        if shape is None:
            pixels = self._read(index)
            shape = (pixels.shape[0], pixels.shape[1])
        return shape

    def features(self, index: int) -> FrameFeatures:
        """Return the features of a frame.

        Raises
        ------
        VideoError
            If the frame is no RGB or grey picture of type uint8.
        """
        found = self._features.get(index)
        if found is None:
            found = self._encode(network_pixels(self._read(index), self._side).to(self._device))
            self.encoded += 1
            self._features.put(index, found)
        return found

    def _read(self, index: int) -> NDArray[np.uint8]:
        self.check(index)
        pixels = np.asarray(self._frames[index])
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape or pixels.dtype != np.uint8:
            raise VideoError(
                f"frame {index} is {pixels.dtype} of shape {pixels.shape}",
                parameter="frames",
                remedy="give uint8 frames of shape (height, width, 3) or (height, width)",
            )
        self._shapes.put(index, (pixels.shape[0], pixels.shape[1]))
        return pixels


def network_pixels(pixels: NDArray[np.uint8], side: int) -> Tensor:
    """Stretch a frame (H, W, 3) to the network's square input, as the official video predictor does: (3, S, S).

    It resizes with Pillow: bicubic, rounded to whole numbers. Values are in 0...255. (Torch resizes uint8 images
    differently, by one in a few of a thousand pixels, enough to move logits by 0.4.)
    """
    resized = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
