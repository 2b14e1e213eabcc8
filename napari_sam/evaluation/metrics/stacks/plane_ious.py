"""How well an object that was followed through a stack fits the true one: as a whole, and plane by plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box


class FollowedObject(Protocol):
    """An object on some planes, such as a `Propagation`."""

    @property
    def planes(self) -> Sequence[int]:
        """Its planes, in order."""
        ...

    def mask(self, plane: int) -> tuple[NDArray[np.bool_], Box]:
        """Return mask (h, w) and box on a plane."""
        ...


@dataclass(frozen=True)
class PlaneCounts:
    """Pixels of an object on one plane.

    Attributes
    ----------
    plane : int
        The plane.
    common, true, predicted : int
        Pixels of both masks, of the true and of the predicted one.
    """

    plane: int
    common: int
    true: int
    predicted: int

    @property
    def iou(self) -> float:
        """IoU on the plane."""
        union = self.true + self.predicted - self.common
        return self.common / union if union else 1.0

    @property
    def error_px(self) -> int:
        """Pixels that differ."""
        return self.true + self.predicted - 2 * self.common


def count_planes(truth: NDArray[np.bool_], box: Box, predicted: FollowedObject) -> list[PlaneCounts]:
    """Compare an object with the true one on every plane that has either.

    Parameters
    ----------
    truth : ndarray of bool
        (planes, h, w) true mask within `box`, on all planes of the stack.
    box : Box
        The true object's box.
    predicted : FollowedObject
        The predicted object.
    """
    counts = []
    present = set(predicted.planes)
    for plane in sorted(present | set(np.flatnonzero(truth.any((1, 2))).tolist())):
        true_px, predicted_px, common = int(np.count_nonzero(truth[plane])), 0, 0
        if plane in present:
            mask, frame = predicted.mask(plane)
            predicted_px = int(np.count_nonzero(mask))
            shared = box.intersection(frame)
            if not shared.is_empty:
                common = int(np.count_nonzero(truth[plane][shared.slices_in(box)] & mask[shared.slices_in(frame)]))
        if true_px or predicted_px:
            counts.append(PlaneCounts(plane, common, true_px, predicted_px))
    return counts


def volume_iou(counts: Sequence[PlaneCounts]) -> float:
    """Return the IoU in three dimensions; 1 if both objects are empty.

    >>> volume_iou([PlaneCounts(0, 1, 1, 2), PlaneCounts(1, 1, 2, 1)])
    0.5
    """
    common = sum(c.common for c in counts)
    union = sum(c.true + c.predicted for c in counts) - common
    return common / union if union else 1.0
