"""Several samples of an image in one input of a network: the cells of a sheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box

_ACROSS = 2
_GREY = (124, 116, 104)  # the network's mean colour, as which it also sees its padding


@dataclass(frozen=True)
class Sample:
    """A part of the image, scaled for a cell.

    Attributes
    ----------
    box : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels.
    pixels : ndarray of uint8
        (h, w, 3), at most as large as a cell.
    """

    box: Box
    pixels: NDArray[np.uint8]


class Sheet:
    """Up to four samples side by side.

    Parameters
    ----------
    samples : sequence of Sample
        The samples.
    img_size : int
        Side of the network's input.

    Attributes
    ----------
    pixels : ndarray of uint8
        (img_size, img_size, 3).
    """

    def __init__(self, samples: Sequence[Sample], img_size: int) -> None:
        self._img_size = img_size
        self.pixels = np.empty((img_size, img_size, 3), np.uint8)
        self.pixels[:] = _GREY
        cell = self.cell_side(img_size)
        self._corners = [(cell * (i // _ACROSS), cell * (i % _ACROSS)) for i in range(len(samples))]
        self._shapes = [sample.pixels.shape[:2] for sample in samples]
        for (y, x), (height, width), sample in zip(self._corners, self._shapes, samples, strict=True):
            self.pixels[y : y + height, x : x + width] = sample.pixels

    @staticmethod
    def cell_side(img_size: int) -> int:
        """Return the side of a cell, in pixels of the network's input.

        >>> Sheet.cell_side(512)
        256
        """
        return img_size // _ACROSS

    def split(self, maps: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the maps (3, h, w) of each sample, from those of the sheet."""
        pitch = maps.shape[-1] / self._img_size
        parts = []
        for (y, x), (height, width) in zip(self._corners, self._shapes, strict=True):
            top, left = round(y * pitch), round(x * pitch)
            parts.append(maps[:, top : top + max(1, round(height * pitch)), left : left + max(1, round(width * pitch))])
        return parts
