"""The pixels of many outlines, computed once, so that they are drawn in any colours within milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.layers.partial_results import PartialFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box

_THIN_PX = 400  # one more pixel of thickness for so many pixels of the frame's longer side
_THICKEST_PX = 8
_THICK_SHARE = 6  # an outline is no thicker than this part of its object


@dataclass(frozen=True, eq=False)
class OutlinePixels:
    """Outlines of objects in a frame.

    Attributes
    ----------
    frame : PartialFrame
        Part of the image, and its sampling.
    flat : ndarray of int64
        (p,) index of each outline pixel in the flattened frame.
    owner : ndarray of int64
        (p,) index of its object, ascending.
    count : int
        Number of objects.
    """

    frame: PartialFrame
    flat: NDArray[np.int64]
    owner: NDArray[np.int64]
    count: int

    @classmethod
    def of(
        cls, boxes: NDArray[np.int64], masks: Sequence[NDArray[np.bool_]], region: Box, factor: int = 1
    ) -> OutlinePixels:
        """Compute the outlines.

        Parameters
        ----------
        boxes : ndarray of int64
            (n, 4) as (y0, x0, y1, x1), level-0 pixels.
        masks : sequence of ndarray of bool
            (h, w) of each object.
        region : Box
            Part of the image to draw in, level-0 pixels; outlines are cut at its border.
        factor : int
            Level-0 pixels per mask pixel.
        """
        frame = PartialFrame.of(region)
        height, width = frame.shape
        thickness = int(np.clip(round(max(frame.shape) / _THIN_PX), 1, _THICKEST_PX))
        flats, owners = [], []
        for index, (box, mask) in enumerate(zip(boxes.tolist(), masks, strict=True)):
            rows, cols = _rim(mask, max(1, min(thickness * frame.factor // factor, min(mask.shape) // _THICK_SHARE)))
            rows = (rows * factor + box[0] - region.y0) // frame.factor
            cols = (cols * factor + box[1] - region.x0) // frame.factor
            inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
            flat = np.unique(rows[inside] * width + cols[inside])
            flats.append(flat)
            owners.append(np.full(len(flat), index))
        none = np.zeros(0, np.int64)
        return cls(frame, np.concatenate([none, *flats]), np.concatenate([none, *owners]), len(masks))

    def draw(self, codes: NDArray[np.uint8], into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return an image of the frame in which each outline has the code of its object; the largest lies on top.

        Parameters
        ----------
        codes : ndarray of uint8
            (n,); 0 leaves an object out.
        into : ndarray of uint8, optional
            Image of the frame's shape to draw into, which is cleared first.
        """
        image = np.zeros(self.frame.shape, np.uint8) if into is None else into
        image[...] = 0
        drawn = image.reshape(-1)
        of_pixel = codes[self.owner]
        for code in np.unique(codes[codes > 0]).tolist():
            drawn[self.flat[of_pixel == code]] = code
        return image


def _rim(mask: NDArray[np.bool_], thickness: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the pixels of a mask that are at most `thickness` away from its border."""
    from scipy.ndimage import binary_erosion  # noqa: PLC0415 - slow to import

    inner = binary_erosion(np.pad(mask, 1), iterations=thickness)[1:-1, 1:-1]
    rows, cols = np.nonzero(mask & ~inner)
    return rows, cols
