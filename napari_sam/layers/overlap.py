"""A new object over existing ones: how much of it is covered, and what of it can be saved without scraps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from skimage.measure import label as connected_parts

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.layers.label_writer import LabelWriter

_LARGEST_PX = 1 << 26  # the overlap of larger masks is left to the label store, which draws them in pieces
_MOSTLY = 0.5  # share of a mask under other objects from which the rest of it is no object
_LEAST_PX, _LEAST_SHARE = 9, 0.05  # of the parts that a cut leaves: smaller ones are scraps


@dataclass(frozen=True)
class Overlap:
    """A mask and the existing objects under it.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w), the mask.
    covered : ndarray of bool
        (h, w), the part of it that lies on other objects.
    areas : dict of int to int
        Pixels of each of these objects under the mask.
    """

    mask: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    areas: dict[int, int]

    @property
    def share(self) -> float:
        """Share of the mask that lies on other objects."""
        return int(self.covered.sum()) / max(1, int(self.mask.sum()))

    @property
    def main(self) -> int | None:
        """The object that lies under at least half of the mask."""
        label = max(self.areas, key=self.areas.__getitem__, default=None)
        enough = label is not None and self.areas[label] >= _MOSTLY * np.count_nonzero(self.mask)
        return label if enough else None

    @property
    def text(self) -> str:
        """The overlap in words; empty without one."""
        if not self.areas:
            return ""
        named = sorted(self.areas, key=self.areas.__getitem__, reverse=True)
        objects = f"object {named[0]}" if len(named) == 1 else f"objects {', '.join(map(str, sorted(named[:3])))}"
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        percent = "wholly" if self.share == 1 else f"to {max(1, min(99, round(100 * self.share)))} %"
        return f"{percent} under {objects}{more}"

    @property
    def can_save(self) -> bool:
        """Whether `free` returns anything."""
        return not self.areas or (self.share < _MOSTLY and bool(self._whole_parts().any()))

    def free(self) -> NDArray[np.bool_]:
        """Return what of the mask can be saved beside the other objects, without the scraps that the cut leaves.

        Raises
        ------
        LabelsError
            If half of the mask or more is covered, or only scraps are left.
        """
        if not self.areas:
            return self.mask
        if not self.can_save:
            raise LabelsError(
                f"the mask lies {self.text}, and only scraps of it would be saved",
                remedy="press X to replace what lies there, or correct the mask",
            )
        return self._whole_parts()

    def _whole_parts(self) -> NDArray[np.bool_]:
        parts = connected_parts(self.mask & ~self.covered, connectivity=1)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        whole: NDArray[np.bool_] = (sizes >= max(_LEAST_PX, _LEAST_SHARE * int(sizes.max(initial=0))))[parts]
        return whole


@dataclass(frozen=True)
class _CutMasks:
    """The masks of a prediction, one of which is replaced."""

    prediction: Prediction
    index: int
    cut: NDArray[np.bool_]

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return one of the masks, (h, w)."""
        return self.cut if index == self.index else self.prediction.mask_at(index)

    def all(self) -> NDArray[np.bool_]:
        """Return all masks, (M, h, w)."""
        return np.stack([self.mask(i) for i in range(self.prediction.count)])


def find_overlap(
    writer: LabelWriter | None, prediction: Prediction, plane: tuple[int, ...], candidate: int, own: int | None = None
) -> Overlap | None:
    """Compare a mask with the objects of a destination.

    Parameters
    ----------
    writer : LabelWriter or None
        Destination; None if it has no object yet.
    prediction : Prediction
        Masks of the new object.
    plane : tuple of int
        Index along the leading axes.
    candidate : int
        Index of the mask.
    own : int, optional
        Object that gets the mask, which does not count.

    Returns
    -------
    Overlap or None
        None for masks of more than 64 million pixels.
    """
    box = Box(*(int(v) for v in prediction.bbox))
    if box.shape[0] * box.shape[1] > _LARGEST_PX:
        return None
    mask = prediction.mask_at(candidate)
    labels = np.zeros(mask.shape, np.uint32)
    if writer is not None:
        inside = box.clip(writer.plane_shape)
        if not inside.is_empty:
            labels[inside.slices_in(box)] = writer.labels_in(inside, plane)
    covered = mask & (labels != 0) & (labels != (own or 0))
    values, counts = np.unique(labels[covered], return_counts=True)
    return Overlap(mask, covered, dict(zip(values.tolist(), counts.tolist(), strict=True)))


def cut_prediction(prediction: Prediction, candidate: int, mask: NDArray[np.bool_]) -> Prediction:
    """Return a prediction with one of its masks replaced."""
    masks = cast("NDArray[np.bool_]", _CutMasks(prediction, candidate, mask))  # the field takes both
    return replace(prediction, masks=masks)
