"""The objects of an image whose masks are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TrueObject:
    """One object of the ground truth.

    Attributes
    ----------
    label : int
        Its id in the image.
    mask : ndarray of bool
        (h, w), cropped to the object.
    origin : (int, int)
        (y, x) of the mask's first pixel in the image.
    category : str
        Category name; empty if unknown.
    frequency : str
        LVIS: "f", "c" or "r", how many images have this category; otherwise empty.
    crowd : bool
        Whether this is a region of many objects, which counts neither for nor against a prediction.
    """

    label: int
    mask: NDArray[np.bool_]
    origin: tuple[int, int]
    category: str = ""
    frequency: str = ""
    crowd: bool = False

    @cached_property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> Box:
        """Bounding box."""
        (y, x), (h, w) = self.origin, self.mask.shape
        return Box(y, x, y + h, x + w)

    def full_mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask in an array of the image's shape."""
        full = np.zeros(shape, bool)
        full[self.box.slices] = self.mask
        return full


@dataclass(frozen=True)
class GroundTruth:
    """What is known about an image.

    Attributes
    ----------
    shape : (int, int)
        Height and width.
    objects : tuple of TrueObject
        Objects, which may overlap.
    boundaries : ndarray of bool or None
        (A, H, W) boundaries drawn by A annotators.
    absent, incomplete : frozenset of str
        LVIS: categories that were searched for and not found, and categories not all of whose objects are labelled.
    """

    shape: tuple[int, int]
    objects: tuple[TrueObject, ...] = ()
    boundaries: NDArray[np.bool_] | None = None
    absent: frozenset[str] | None = None
    incomplete: frozenset[str] = frozenset()

    @property
    def scored_objects(self) -> tuple[TrueObject, ...]:
        """The objects that are not crowds."""
        return tuple(o for o in self.objects if not o.crowd)

    def labels(self) -> NDArray[np.int32]:
        """Return a label image (H, W), small objects on top of large ones."""
        labels = np.zeros(self.shape, np.int32)
        for o in sorted(self.scored_objects, key=lambda o: -o.area_px):
            labels[o.box.slices][o.mask] = o.label
        return labels


def truth_from_labels(labels: NDArray[np.integer], category: str = "") -> GroundTruth:
    """Return the objects of a label image (H, W) whose background is 0.

    >>> [o.box for o in truth_from_labels(np.array([[0, 7, 7], [3, 0, 0]])).objects]
    [(1, 0, 2, 1), (0, 1, 1, 3)]
    """
    objects = []
    for label, region in enumerate(ndimage.find_objects(labels), start=1):
        if region is not None:
            origin = (region[0].start, region[1].start)
            objects.append(TrueObject(label, labels[region] == label, origin, category))
    return GroundTruth((labels.shape[0], labels.shape[1]), tuple(objects))


class TrueObjectDetails(TypedDict, total=False):
    """The optional fields of `TrueObject`."""

    category: str
    frequency: str
    crowd: bool


def object_from_mask(
    label: int, mask: NDArray[np.bool_], origin: tuple[int, int], **details: Unpack[TrueObjectDetails]
) -> TrueObject | None:
    """Return an object whose mask is cropped to its pixels; None if the mask is empty."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    cropped = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return TrueObject(label, cropped, (origin[0] + int(rows[0]), origin[1] + int(cols[0])), **details)
