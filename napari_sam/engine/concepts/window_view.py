"""What a network and a person see of a window, prepared for measuring many objects in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

DETAIL_SIGMAS = (1.0, 2.0, 4.0)
MOST_CHANNELS = 256
"""Channels of an embedding that are used; SAM 2 adds finer features after them."""


@dataclass(frozen=True)
class WindowView:
    """A window of the image.

    Attributes
    ----------
    embedding : ndarray of float32
        (h, w, c) without padding.
    maps : ndarray of float32 or None
        (3, H, W) of the dense decoder, without padding; None without one.
    pixels : ndarray of uint8
        (h, w, 3) as the network sees them, without padding.
    stride : float
        Pixels per cell of the embedding.
    level0_per_px : float
        Level-0 pixels per pixel, along the longer side.
    """

    embedding: NDArray[np.float32]
    maps: NDArray[np.float32] | None
    pixels: NDArray[np.uint8]
    stride: float
    level0_per_px: float

    @classmethod
    def of(
        cls,
        embedding: Tensor,
        maps: NDArray[np.float32] | None,
        pixels: NDArray[np.uint8],
        img_size: int,
        window_shape: tuple[int, int],
    ) -> WindowView:
        """Prepare a window.

        Parameters
        ----------
        embedding : Tensor
            (1, C, h, w) with padding.
        maps : ndarray of float32 or None
            (3, H, W) without padding.
        pixels : ndarray of uint8
            (h, w, 3) without padding.
        img_size : int
            Side of the network's input.
        window_shape : (int, int)
            Height and width of the window, level-0 pixels.
        """
        stride = img_size / int(embedding.shape[-1])
        rows, cols = (min(int(embedding.shape[-1]), max(1, int(np.ceil(n / stride)))) for n in pixels.shape[:2])
        cells = embedding[0, :MOST_CHANNELS, :rows, :cols].float().cpu().numpy()
        return cls(
            np.ascontiguousarray(cells.transpose(1, 2, 0)),
            maps,
            pixels,
            stride,
            max(window_shape) / max(pixels.shape[:2]),
        )

    @cached_property
    def rgb(self) -> NDArray[np.float32]:
        """The pixels, from 0 to 1."""
        return self.pixels.astype(np.float32) / np.float32(255)

    @cached_property
    def grey(self) -> NDArray[np.float32]:
        """Mean of the channels, (h, w)."""
        mean: NDArray[np.float32] = self.rgb.mean(-1, dtype=np.float32)
        return mean

    @cached_property
    def gradient(self) -> NDArray[np.float32]:
        """Magnitude of the gradient of the smoothed grey values, (h, w)."""
        smooth = ndimage.gaussian_filter(self.grey, 1.0)
        magnitude: NDArray[np.float32] = (np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)) / 8).astype("f4")
        return magnitude

    @cached_property
    def details(self) -> NDArray[np.float32]:
        """Difference of the grey values from smoothed ones, absolute, for each of `DETAIL_SIGMAS`: (h, w, s)."""
        return np.stack([np.abs(self.grey - ndimage.gaussian_filter(self.grey, s)) for s in DETAIL_SIGMAS], -1)
