"""The objects of a volume or movie whose labels are known on every plane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box
from napari_sam.errors import EvaluationError
from napari_sam.io.images.formats.masked_level import unmasked
from napari_sam.io.images.open_image import open_image
from napari_sam.io.tracks.track_table import TrackTable, make_tracks, read_track_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image

VOLUME, MOVIE = "volume", "movie"
"""Kinds of samples; see `Sample.kind`."""

STACK_AXES = {VOLUME: "z", MOVIE: "t"}
"""The axis through the planes of each kind."""


@dataclass(frozen=True)
class StackObject:
    """One true object of a stack.

    Attributes
    ----------
    label : int
        Its id.
    planes : tuple of int
        Planes on which it lies, in order.
    areas : tuple of int
        Number of pixels on each of them.
    box : Box
        Bounding box over all planes.
    """

    label: int
    planes: tuple[int, ...]
    areas: tuple[int, ...]
    box: Box

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return sum(self.areas)

    @property
    def middle(self) -> int:
        """The middle one of its planes."""
        return self.planes[len(self.planes) // 2]


class StackTruth(ABC):
    """Labels of a volume or movie, whose planes are read on demand."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Number of planes, height and width."""

    @abstractmethod
    def plane(self, index: int) -> NDArray[np.int64]:
        """Return the labels (H, W) of a plane."""

    has_segmentation: bool = False
    """Whether `plane` gives markers only, and `segmentation` the whole objects of some frames."""

    def segmentation(self, index: int) -> NDArray[np.int64] | None:
        """Return the whole objects of a frame, if `plane` gives markers; None for frames without."""
        return None

    @cached_property
    def objects(self) -> tuple[StackObject, ...]:
        """All objects, by label."""
        planes: dict[int, list[int]] = {}
        areas: dict[int, list[int]] = {}
        boxes: dict[int, Box] = {}
        for index in range(self.shape[0]):
            values, numbered = np.unique(self.plane(index), return_inverse=True)
            numbered = numbered.reshape(self.shape[1:]) + 1
            counts = np.bincount(numbered.ravel(), minlength=len(values) + 1)
            for i, (label, region) in enumerate(zip(values.tolist(), ndimage.find_objects(numbered), strict=True)):
                if label:
                    box = Box(region[0].start, region[1].start, region[0].stop, region[1].stop)
                    planes.setdefault(label, []).append(index)
                    areas.setdefault(label, []).append(int(counts[i + 1]))
                    boxes[label] = box if label not in boxes else boxes[label].union(box)
        return tuple(StackObject(n, tuple(planes[n]), tuple(areas[n]), boxes[n]) for n in sorted(planes))

    @cached_property
    def tracks(self) -> TrackTable:
        """The tracks: one for each label without gaps, if nothing else is known."""
        return make_tracks({o.label: o.planes for o in self.objects})

    def volume(self, target: StackObject) -> NDArray[np.bool_]:
        """Return the mask (planes, h, w) of an object within its box, on all planes of the stack."""
        mask = np.zeros((self.shape[0], *target.box.shape), bool)
        for index in target.planes:
            mask[index] = self.plane(index)[target.box.slices] == target.label
        return mask


class LabelStack(StackTruth):
    """A label stack in one file.

    Parameters
    ----------
    image : Image
        The opened file.
    axis : str
        The axis through planes.
    lineage : TrackTable, optional
        Tracks with their parents, whose ids are the labels.
    """

    def __init__(self, image: Image, axis: str, lineage: TrackTable | None = None) -> None:
        self.image, self.axis, self.lineage = image, axis, lineage

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of planes, height and width."""
        return (self.image.plane_axes[self.axis], *self.image.shape)

    def plane(self, index: int) -> NDArray[np.int64]:
        """Return the labels (H, W) of a plane."""
        height, width = self.image.shape
        plane = self.image.with_plane((index,), self.image.selected)
        return plane.read(0, 0, 0, height, width)[..., 0].astype(np.int64)

    @cached_property
    def tracks(self) -> TrackTable:
        """The tracks: those of the lineage, or one for each label without gaps."""
        return self.lineage or super().tracks


def open_stack_truth(labels: Path, kind: str, tracks: Path | None = None) -> LabelStack:
    """Open the labels of a stack.

    Raises
    ------
    EvaluationError
        If they are not whole numbers along one axis, y and x.
    LabelsError
        If the file of tracks is damaged.
    """
    image = unmasked(open_image(labels))
    if len(image.plane_axes) != 1 or image.channel_count != 1:
        raise EvaluationError(
            f"{labels}: labels with the axes {image.array_axes}", remedy=f"give labels ({STACK_AXES[kind]}, y, x)"
        )
    if image.dtype.kind not in "ui":
        raise EvaluationError(f"{labels}: labels are {image.dtype}", remedy="save them as whole numbers")
    axis = next(iter(image.plane_axes))
    lineage = None if tracks is None else read_track_file(tracks)
    return LabelStack(image, axis, lineage)
