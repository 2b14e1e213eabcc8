"""Where an object is expected on the next plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carriers.appearance import Appearance, appearance_of
from napari_sam.engine.propagation.carriers.registration import (
    Neighbourhood,
    find_shift,
    read_neighbourhood,
    search_region,
    warp_mask,
)
from napari_sam.engine.propagation.plane_mask import cropped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sam.engine.propagation.plane_views import PlaneView


@dataclass(frozen=True)
class Track:
    """An object on the last plane on which it was found, in one pass.

    Attributes
    ----------
    plane : int
        The plane.
    mask : ndarray of bool
        (h, w), tight.
    box : Box
        (y0, x0, y1, x1) of the mask, level-0 pixels.
    pixels : Neighbourhood
        Pixels around the object on that plane.
    reference : Appearance
        How the object looked on its prompted plane.
    confidence : float
        Highest confidence so far on a plane without a prompt.
    """

    plane: int
    mask: NDArray[np.bool_]
    box: Box
    pixels: Neighbourhood
    reference: Appearance
    confidence: float = 0.0

    @classmethod
    def start(cls, view: PlaneView, mask: NDArray[np.bool_], box: Box) -> Track:
        """Begin a track with the answer to a prompt."""
        pixels = read_neighbourhood(view, search_region(box, view.image.shape))
        return cls(view.plane, mask, box, pixels, appearance_of(pixels.grey, pixels.resample(mask, box)))

    def moved_to(self, view: PlaneView, mask: NDArray[np.bool_], box: Box, confidence: float) -> Track:
        """Continue the track on another plane, on which the object was found with some confidence."""
        pixels = read_neighbourhood(view, search_region(box, view.image.shape))
        return Track(view.plane, mask, box, pixels, self.reference, max(confidence, self.confidence))

    def packed(self) -> dict[str, NDArray[np.generic]]:
        """Return the track as arrays."""
        return {
            "numbers": np.array([self.plane, *self.box, *self.pixels.region]),
            "mask": np.packbits(self.mask, axis=1),
            "grey": self.pixels.grey,
            "contrast": np.array([self.reference.contrast, self.confidence]),
        }

    @classmethod
    def unpacked(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Track:
        """Return the track that `packed` gave."""
        plane, *edges = (int(n) for n in arrays["numbers"])
        box, region = Box(*edges[:4]), Box(*edges[4:])
        mask = np.unpackbits(arrays["mask"].astype(np.uint8), axis=1, count=box.width).astype(bool)
        pixels = Neighbourhood(arrays["grey"].astype(np.float32), region)
        contrast, confidence = (float(n) for n in arrays["contrast"])
        return cls(plane, mask, box, pixels, Appearance(contrast), confidence)


@dataclass(frozen=True)
class Expected:
    """Where an object is expected on a plane.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w), tight.
    box : Box
        (y0, x0, y1, x1) of the mask, level-0 pixels, inside the image.
    is_blank : bool
        Whether the plane has the same value all around the object.
    """

    mask: NDArray[np.bool_]
    box: Box
    is_blank: bool


def expect(track: Track, view: PlaneView) -> Expected | None:
    """Return where an object is expected on a plane; None if that lies outside the image.

    Raises
    ------
    ImageError
        If the plane cannot be read.
    """
    earlier, pixels = track.pixels, read_neighbourhood(view, track.pixels.region)
    shift = find_shift(earlier, pixels, track.box)
    moved = track.box.shift(round(shift[0]), round(shift[1]))
    frame = moved.grow(max(2, max(moved.shape) // 4)).intersection(pixels.region)
    if moved.clip(view.image.shape).is_empty or frame.is_empty:
        return None
    distance = warp_mask(earlier, pixels, shift, earlier.resample(track.mask, track.box))
    mask = pixels.enlarge(distance, frame) > 0
    if not mask.any():
        return None
    return Expected(*cropped(mask, frame), pixels.is_blank)
