"""Write one object that lies on several planes as one change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.errors import LabelsError
from napari_sam.io.labels.editing.label_values import clipped_mask
from napari_sam.io.labels.journal.prediction_records import prompt_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.propagation.plane_prompts import PlanePrompt
    from napari_sam.io.labels.changes.edit import Edit
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Plane, Record

    MaskAndBox = tuple[NDArray[np.bool_], tuple[int, int, int, int]]
    Scored = tuple[NDArray[np.bool_], tuple[int, int, int, int], float | None]
    PlaneMasks = Mapping[int | Plane, MaskAndBox | Scored]


@runtime_checkable
class FollowedObject(Protocol):
    """An object that was followed through planes, as `Predictor.propagate` returns it."""

    @property
    def planes(self) -> Sequence[int]:
        """Indices of the planes on which it was found."""
        ...

    @property
    def scores(self) -> Mapping[int, float]:
        """Predicted IoU of each plane."""
        ...

    @property
    def prompts(self) -> Mapping[int, PlanePrompt]:
        """Prompts by plane."""
        ...

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    def index(self, plane: int) -> tuple[int, ...]:
        """Return the index of a plane along all leading axes of the image."""
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

    def record(self, planes: PlaneMasks | FollowedObject, count: int) -> Record:
        """Return the record of the change for the journal, with the prompts of an object that was followed."""
        record: Record = {"label": self.label, "overlap": self.overlap, "category": self.category, "planes": count}
        if self.source:
            record["source"] = self.source
        if isinstance(planes, FollowedObject):
            record |= {"model": planes.model, "prompts": _prompt_records(planes)}
        return record


def _prompt_records(followed: FollowedObject) -> list[Record]:
    """Return the prompts of an object that was followed through planes, each with its plane, as JSON."""
    records = []
    for plane, given in sorted(followed.prompts.items()):
        points = np.asarray(given.points, float).reshape(-1, 2)
        prompt = Prompt(points, np.asarray(given.point_labels, np.int64), given.box, given.mask)
        records.append({"plane": [int(i) for i in followed.index(plane)], **prompt_record(prompt)})
    return records


def masks_by_plane(
    planes: PlaneMasks | FollowedObject, shape: tuple[int, ...]
) -> list[tuple[Plane, Callable[[], Scored]]]:
    """Return the planes of an object in order, each with a function that returns mask, box and score.

    Parameters
    ----------
    planes : mapping or FollowedObject
        The masks, by the index along all leading axes, or along the only one.
    shape : tuple of int
        Shape of the label image.

    Raises
    ------
    LabelsError
        If a plane does not exist, or there is none.
    """
    loaders: dict[Plane, Callable[[], Scored]] = {}
    if isinstance(planes, FollowedObject):
        followed, scores = planes, planes.scores
        for number in followed.planes:
            index = _checked_index(tuple(followed.index(number)), shape)
            loaders[index] = lambda number=number: (*followed.mask(number), scores.get(number))  # type: ignore[misc]
    else:
        for key, value in planes.items():
            index = _checked_index(key if isinstance(key, tuple) else (key,), shape)
            loaders[index] = lambda value=value: _scored(value)  # type: ignore[misc]
    if not loaders:
        raise LabelsError("no plane is given", parameter="planes", remedy="give a mask for one plane or more")
    return sorted(loaders.items(), key=lambda pair: pair[0])


def _checked_index(index: Sequence[int], shape: tuple[int, ...]) -> Plane:
    """Return the index of a plane along all leading axes, if there is such a plane."""
    leading = shape[:-2]
    if len(index) != len(leading) or any(not 0 <= int(i) < n for i, n in zip(index, leading, strict=True)):
        raise LabelsError(
            f"plane {tuple(index)} does not exist in a store of shape {shape}",
            parameter="planes",
            remedy="give an index for each leading axis; {LabelStore.create(path, like=stack)} has all planes",
        )
    return tuple(int(i) for i in index)


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
            present = int(np.count_nonzero(edit.read(box) == label))
            gained += present
            if present:
                edit.touch(label)
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
