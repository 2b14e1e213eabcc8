"""What a network and a person see of a window, prepared for measuring many objects in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MOST_CHANNELS = 256
"""Channels of an embedding that are used; SAM 2 adds finer features after them."""


@dataclass(frozen=True)
class WindowView:
    """A window of the image.

    Attributes
    ----------
    embedding : ndarray of float32
        (h, w, c) without padding, less its mean over the window.
    decoded : ndarray of float32 or None
        (h, w, c) features of the dense decoder, likewise; None without any.
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
    decoded: NDArray[np.float32] | None
    maps: NDArray[np.float32] | None
    pixels: NDArray[np.uint8]
    stride: float
    level0_per_px: float

    @classmethod
    def of(
        cls,
        embedding: Tensor,
        decoded: Tensor | None,
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
        decoded : Tensor or None
            (1, c, h, w) features of the dense decoder, likewise.
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
        return cls(
            _cells(embedding, rows, cols),
            None if decoded is None else _cells(decoded, rows, cols),
            maps,
            pixels,
            stride,
            max(window_shape) / max(pixels.shape[:2]),
        )


def _cells(tensor: Tensor, rows: int, cols: int) -> NDArray[np.float32]:
    """Return the cells (h, w, c) of a tensor (1, C, H, W) that show the image, less what all have in common."""
    cells = tensor[0, :MOST_CHANNELS, :rows, :cols].float().cpu().numpy()
    return np.ascontiguousarray((cells - cells.mean((1, 2), keepdims=True)).transpose(1, 2, 0))
