"""The mask of an object on one plane."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box


@dataclass(frozen=True)
class PlaneMask:
    """An object on one plane.

    Attributes
    ----------
    plane : int
        Index along the axis that is followed.
    mask : ndarray of bool
        (h, w), a crop of the plane.
    box : Box
        (y0, x0, y1, x1) of that crop in level-0 pixels, half-open.
    score : float
        Confidence in [0, 1].
    prompted : bool
        Whether the object has a prompt on this plane.
    index : int
        Position of the object in the caller's list; 0 for a single object.
    """

    plane: int
    mask: NDArray[np.bool_]
    box: Box
    score: float
    prompted: bool = False
    index: int = 0

    @property
    def area_px(self) -> int:
        """Number of pixels of the mask."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True)
class PackedMask:
    """A `PlaneMask` as it is kept: a few kilobytes for any size, so that many planes fit into memory.

    Attributes
    ----------
    bits : bytes
        One bit per pixel, (h, ceil(w / 8)), compressed by zlib.
    box : Box
        (y0, x0, y1, x1) in level-0 pixels, half-open.
    score : float
        Confidence in [0, 1].
    prompted : bool
        Whether the object has a prompt on this plane.
    """

    bits: bytes
    box: Box
    score: float
    prompted: bool = False

    @classmethod
    def of(cls, found: PlaneMask) -> PackedMask:
        """Pack the mask of a plane."""
        bits = zlib.compress(np.packbits(found.mask, axis=1).tobytes(), 1)
        return cls(bits, found.box, found.score, found.prompted)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask, (h, w)."""
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8).reshape(self.box.height, -1)
        return np.unpackbits(packed, axis=1, count=self.box.width).astype(bool)


def cropped(mask: NDArray[np.bool_], box: Box) -> tuple[NDArray[np.bool_], Box]:
    """Return a mask and its box without empty rows and columns at their borders; unchanged if it is empty.

    >>> from napari_sam.engine.geometry import Box
    >>> cropped(np.array([[0, 0, 0], [0, 1, 0]], bool), Box(10, 10, 12, 13))
    (array([[ True]]), (11, 11, 12, 12))
    """
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return mask, box
    inner = type(box)(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    return np.ascontiguousarray(mask[inner.slices]), inner.shift(box.y0, box.x0)


def in_frame(mask: NDArray[np.bool_], box: Box, frame: Box) -> NDArray[np.bool_]:
    """Return a mask in the array of another box; what lies outside is cut off."""
    out = np.zeros(frame.shape, bool)
    common = box.intersection(frame)
    if not common.is_empty:
        out[common.slices_in(frame)] = mask[common.slices_in(box)]
    return out


def mask_iou(mask: NDArray[np.bool_], box: Box, other: NDArray[np.bool_], other_box: Box) -> float:
    """Return the intersection over union of two masks with their boxes; 0 if both are empty."""
    common = box.intersection(other_box)
    total = int(np.count_nonzero(mask)) + int(np.count_nonzero(other))
    if common.is_empty or not total:
        return 0.0
    shared = int(np.count_nonzero(mask[common.slices_in(box)] & other[common.slices_in(other_box)]))
    return shared / (total - shared)
