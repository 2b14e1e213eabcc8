"""Split an object of a label store, on one plane or through all of its planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.geo.axis_placement import in_one_unit
from napari_sam.io.labels.editing.split_mask import split_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.labels.changes.edit import Edit
    from napari_sam.io.labels.journal.rows import ObjectPlane, Plane
    from napari_sam.io.labels.label_layout import LabelLayout

_LARGEST_PX = 1 << 26  # of the box of an object on one plane
_LARGEST_VOXELS = 1 << 25  # of its box through planes, of which distances are computed


class SplitObject:
    """The parts of an object that is to be split.

    Parameters
    ----------
    edit : Edit
        Reads the pixels.
    parts : sequence of ObjectPlane
        What lies on each plane of the object that is split.
    layout : LabelLayout
        Says how far the planes lie apart.
    points : array_like or None
        (P, 2) as (y, x), or through planes (P, N) with the index along each axis; one point in each part. Without
        points the separate pieces are the parts.

    Attributes
    ----------
    sizes : ndarray of int
        Number of pixels of each part.

    Raises
    ------
    LabelsError
        If the object is too large, a point lies beside it, or there is one part only.
    """

    def __init__(self, edit: Edit, parts: Sequence[ObjectPlane], layout: LabelLayout, points: ArrayLike | None) -> None:
        self._label = parts[0].label
        self._box = parts[0].box
        for part in parts[1:]:
            self._box = self._box.union(part.box)
        self._planes = _planes_between(parts)
        self._check_size()
        local = None if points is None else self._local(np.asarray(points, float))
        self._pieces = split_mask(self._mask(edit), local, self._spacing(layout))
        self.sizes = np.bincount(self._pieces.ravel())[1:]
        self._check_parts(points)

    def draw(self, edit: Edit, numbers: NDArray[np.uint32]) -> None:
        """Paint the parts into a change; `numbers` are their ids, after that of the background."""
        for plane, pieces in zip(self._planes, self._pieces.reshape(-1, *self._box.shape), strict=True):
            if not pieces.any():
                continue

            def paint(labels: NDArray[np.uint32], part: Box, pieces: NDArray[np.int32] = pieces) -> NDArray[np.uint32]:
                inside = pieces[part.slices_in(self._box)]
                return np.where(inside > 0, numbers[inside], labels)

            edit.at(plane).paint(self._box, paint)

    def _mask(self, edit: Edit) -> NDArray[np.bool_]:
        """Return the pixels of the object: (h, w) on one plane, (planes, h, w) on several."""
        mask = np.stack([edit.at(plane).read(self._box) == self._label for plane in self._planes])
        return mask if len(self._planes) > 1 else mask[0]

    def _local(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points in the frame of the mask."""
        first = self._planes[0]
        axis = _axis_of(self._planes)
        width = 2 if axis is None else len(first) + 2
        if points.ndim != 2 or points.shape[1] not in (2, width):
            raise LabelsError(f"points of shape {points.shape}", parameter="points", remedy="give (y, x) for each part")
        if axis is None:
            return points[:, -2:] - self._box[:2]
        if points.shape[1] == 2:
            raise LabelsError(
                f"object {self._label} lies on {len(self._planes)} planes, and the points name none",
                parameter="points",
                remedy="give the index along every axis with each point, or the {plane} on which to split it",
            )
        return points[:, [axis, -2, -1]] - (first[axis], *self._box[:2])

    def _spacing(self, layout: LabelLayout) -> tuple[float, ...] | None:
        """Return the distance of planes, in units of a pixel, before that of rows and columns."""
        axis = _axis_of(self._planes)
        if axis is None:
            return None
        known = in_one_unit(dict(zip(layout.axes, layout.placements, strict=True)))
        y, z = known.get("y"), known.get(layout.axes[axis])
        comparable = y is not None and z is not None and y.unit == z.unit
        return (z.scale / y.scale if comparable and y and z else 1.0, 1.0, 1.0)

    def _check_size(self) -> None:
        voxels = self._box.area * len(self._planes)
        if voxels > (_LARGEST_PX if len(self._planes) == 1 else _LARGEST_VOXELS):
            where = "" if len(self._planes) == 1 else f" through {len(self._planes)} planes"
            raise LabelsError(
                f"object {self._label} in box {self._box}{where} is too large to split",
                remedy="paint the cut with the eraser" if not where else "split it on one {plane} after another",
            )

    def _check_parts(self, points: ArrayLike | None) -> None:
        if len(self.sizes) > 1 and not self.sizes.all():
            raise LabelsError(
                f"points {np.asarray(points).tolist()}: two of them fall on one pixel",
                parameter="points",
                remedy="move one of them",
            )
        if len(self.sizes) < 2:
            raise LabelsError(
                f"object {self._label} is one piece", remedy="give two or more {points} (y, x) on its parts"
            )


def _axis_of(planes: Sequence[Plane]) -> int | None:
    """Return the leading axis along which planes lie; None for one plane."""
    if len(planes) == 1:
        return None
    return next(i for i, (first, last) in enumerate(zip(planes[0], planes[-1], strict=True)) if first != last)


def _planes_between(parts: Sequence[ObjectPlane]) -> list[Plane]:
    """Return all planes from the first to the last of an object.

    Raises
    ------
    LabelsError
        If they lie along several axes.
    """
    planes = [part.plane for part in parts]
    along = [axis for axis, indices in enumerate(zip(*planes, strict=True)) if len(set(indices)) > 1]
    if len(along) > 1:
        raise LabelsError(
            f"object {parts[0].label} lies on planes along {len(along)} axes",
            parameter="plane",
            remedy="give the {plane} on which to split it, or relabel some of its planes",
        )
    if not along:
        return planes
    first, (axis,) = planes[0], along
    indices = [plane[axis] for plane in planes]
    return [(*first[:axis], index, *first[axis + 1 :]) for index in range(min(indices), max(indices) + 1)]
