"""Write one object that lies on several planes as one change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.editing.label_values import clipped_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.labels.editing.edit import Edit
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Plane, Record

    MaskAndBox = tuple[NDArray[np.bool_], tuple[int, int, int, int]]
    Scored = tuple[NDArray[np.bool_], tuple[int, int, int, int], float | None]
    PlaneMasks = Mapping[int | Plane, MaskAndBox | Scored]


@runtime_checkable
class FollowedObject(Protocol):
    """An object that was followed through planes, as `Predictor.propagate` returns it."""

    @property
    def axis(self) -> str:
        """Name of the axis along which it was followed."""
        ...

    @property
    def planes(self) -> Sequence[int]:
        """Indices of the planes on which it was found."""
        ...

    @property
    def scores(self) -> Mapping[int, float]:
        """Predicted IoU of each plane."""
        ...

    def mask(self, plane: int) -> MaskAndBox:
        """Return the mask (h, w) of a plane, and its box in level-0 pixels."""
        ...


@dataclass(frozen=True)
class ObjectOptions:
    """How an object on several planes is written; `LabelStore.commit_planes` documents the fields."""

    label: int | None = None
    overlap: str = "keep"
    category: str | None = None
    parent: int | None = None
    source: Record = field(default_factory=dict)


def masks_by_plane(
    planes: PlaneMasks | FollowedObject, shape: tuple[int, ...], axes: str, plane: Plane
) -> list[tuple[Plane, Callable[[], Scored]]]:
    """Return the planes of an object in order, each with a function that returns mask, box and score.

    Parameters
    ----------
    planes : mapping or FollowedObject
        The masks, by index along one axis, or by the index along all leading axes.
    shape : tuple of int
        Shape of the label image.
    axes : str
        Names of its axes.
    plane : tuple of int
        Index along all leading axes of any plane of the object, where `planes` names one axis of several.

    Raises
    ------
    LabelsError
        If a plane does not exist, or it is not clear which one is meant.
    """
    if isinstance(planes, FollowedObject):
        followed = planes
        plane = plane or tuple(getattr(followed, "plane", ()))
        axis: str | None = str(followed.axis)
        items: list[tuple[int | Plane, Callable[[], Scored]]] = [
            (index, lambda index=index: (*followed.mask(index), followed.scores.get(index)))  # type: ignore[misc]
            for index in followed.planes
        ]
    else:
        axis = None
        items = [(index, lambda value=value: _scored(value)) for index, value in planes.items()]  # type: ignore[misc]
    if not items:
        raise LabelsError("no plane is given", parameter="planes", remedy="give a mask for one plane or more")
    placed = [(_full_plane(index, shape, axes, axis, plane), load) for index, load in items]
    return sorted(placed, key=lambda pair: pair[0])


def _full_plane(index: int | Plane, shape: tuple[int, ...], axes: str, axis: str | None, plane: Plane) -> Plane:
    """Return the index along all leading axes of a plane that is named by its index along one of them."""
    leading = shape[:-2]
    if isinstance(index, tuple):
        full = tuple(int(i) for i in index)
    elif len(leading) == 1:
        full = (int(index),)
    else:
        position = axes.find(axis or "?")
        if len(plane) != len(leading) or not 0 <= position < len(leading):
            raise LabelsError(
                f"plane {index}: the store has the axes {axes}, so one index names no plane",
                parameter="plane",
                remedy="give {plane}, an index for each leading axis, with an object that was followed along one of "
                "them; or name each plane by such an index",
            )
        full = (*plane[:position], int(index), *plane[position + 1 :])
    if len(full) != len(leading) or any(not 0 <= i < n for i, n in zip(full, leading, strict=True)):
        raise LabelsError(
            f"plane {index} does not exist in a store of shape {shape}",
            parameter="planes",
            remedy="give planes of this store",
        )
    return full


def _scored(value: MaskAndBox | Scored) -> Scored:
    """Return mask, box and score of a value of the mapping."""
    try:
        mask, box, *rest = value
        (score,) = rest or [None]
        return mask, box, None if score is None else float(score)
    except (TypeError, ValueError) as error:
        raise LabelsError(
            f"a plane has {type(value).__name__} instead of a mask and its box",
            parameter="planes",
            remedy="give (mask, (y0, x0, y1, x1)) or (mask, (y0, x0, y1, x1), score)",
        ) from error


def draw_planes(
    edit: Edit,
    journal: Journal,
    masks: Sequence[tuple[Plane, Callable[[], Scored]]],
    number: int | None,
    overlap: str,
) -> dict[tuple[int, Plane], float | None]:
    """Draw an object on several planes into a change; one mask is in memory at a time.

    Pixels that the object has on these planes already are replaced.

    Parameters
    ----------
    edit : Edit
        The change.
    journal : Journal
        The objects before it.
    masks : sequence of (tuple of int, callable)
        Planes, each with a function that returns mask, box and score.
    number : int or None
        Id of the object. With "erase" the pixels under the masks become background, those of all objects if it is None.
    overlap : {"keep", "replace", "erase"}
        What happens to pixels of other objects.

    Returns
    -------
    dict of (int, tuple of int) to float or None
        Score of the object on each plane.

    Raises
    ------
    LabelsError
        If a mask does not fit its box or the image, or no pixel would change.
    """
    gained, empty = 0, True
    scores: dict[tuple[int, Plane], float | None] = {}
    for plane, load in masks:
        values, bbox, score = load()
        box: Box | None = _checked_box(values, bbox, plane)
        mask = np.asarray(values, bool)
        if mask.any():
            mask, box = clipped_mask(mask, box or bbox, edit.plane_shape)
        else:
            box = None
        edit.at(plane)
        if overlap == "erase":
            gained += 0 if box is None else edit.paint(box, eraser(mask, box, number))
            continue
        label = number or 0
        old = journal.objects.parts([label], plane).get(label)
        area = box if old is None else old.box if box is None else box.union(old.box)
        if area is not None:
            edit.paint(area, painter(mask, box, label, overlap))
        if box is not None:
            empty = False
            gained += int(np.count_nonzero(edit.read(box) == label))
            scores[label, plane] = score
    if not gained:
        if overlap == "erase":
            raise LabelsError(
                "there is no object under the masks to erase from",
                remedy="place the masks on an object, or name the object",
            )
        if empty:
            raise LabelsError("the masks of all planes are empty", remedy="erase() removes an object")
        raise LabelsError(
            "the masks lie wholly under other objects", remedy="let the new object win with {overlap=replace}"
        )
    return scores


def _checked_box(mask: NDArray[np.bool_], bbox: tuple[int, int, int, int], plane: Plane) -> Box:
    """Return the box of a mask, if it has the shape of the mask."""
    shape = np.shape(mask)
    box = Box(*(int(v) for v in bbox)) if len(bbox) == 4 else Box(0, 0, 0, 0)
    if len(bbox) != 4 or shape != (box.y1 - box.y0, box.x1 - box.x0):
        raise LabelsError(
            f"the mask of plane {plane} has the shape {shape}, and its box is {tuple(bbox)}",
            parameter="planes",
            remedy="give a mask (h, w) and the box (y0, x0, y1, x1) that it fills",
        )
    return box


def painter(
    mask: NDArray[np.bool_], box: Box | None, label: int, overlap: str
) -> Callable[[NDArray[np.uint32], Box], NDArray[np.uint32]]:
    """Return a function that replaces the pixels of an object on a plane by a mask."""

    def paint(labels: NDArray[np.uint32], part: Box) -> NDArray[np.uint32]:
        cleared = np.where(labels == label, np.uint32(0), labels)
        shared = None if box is None else box.intersection(part)
        if shared is None or box is None or shared.is_empty:
            return cleared
        inside, under = mask[shared.slices_in(box)], cleared[shared.slices_in(part)]
        free = inside if overlap == "replace" else inside & (under == 0)
        cleared[shared.slices_in(part)] = np.where(free, np.uint32(label), under)
        return cleared

    return paint


def eraser(
    mask: NDArray[np.bool_], box: Box, label: int | None
) -> Callable[[NDArray[np.uint32], Box], NDArray[np.uint32]]:
    """Return a function that makes the pixels under a mask background, those of one object only if it is given."""

    def paint(labels: NDArray[np.uint32], part: Box) -> NDArray[np.uint32]:
        erased = mask[part.slices_in(box)] & ((labels == label) | (label is None))
        return np.where(erased, np.uint32(0), labels)

    return paint
