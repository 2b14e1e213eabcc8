"""A labels layer of the user as destination of accepted objects, with undo and redo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd
from napari.layers import Labels

from napari_sam.errors import LabelsError
from napari_sam.layers.placement import image_plane_shape, placement

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.propagation.propagation import Propagation

    PixelIndex = tuple[NDArray[np.intp], ...]

OVERLAPS = ("keep", "replace")
_MAX_PIXELS = 1 << 30  # a larger label plane (4 GiB) does not fit into a laptop's memory
_OTHER_LAYER = "choose the label store under “Write to”"
_OTHER_STORE = f"{_OTHER_LAYER}, which holds lineages"


class ObjectRecord(TypedDict):
    """Metadata of an accepted object: enough to list it and to predict it again."""

    label: int
    plane: tuple[int, ...]
    area_px: int
    bbox: tuple[int, int, int, int]
    predicted_iou: float
    stability_score: float
    candidate: int
    model: str
    points: list[list[float]]
    point_labels: list[int]
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class _ObjectPixels:
    """Pixels that one accepted object changed, their earlier values, and the record of the object."""

    index: PixelIndex
    before: NDArray[np.generic]
    record: ObjectRecord


class LabelsLayerWriter:
    """Write objects into a labels layer, each with the next free id.

    Parameters
    ----------
    layer : napari.layers.Labels
        Single-scale layer in memory, of the image's shape.
    image : napari.layers.Image
        Image that the objects belong to.

    Raises
    ------
    LabelsError
        If the layer does not fit the image or cannot be written.
    """

    def __init__(self, layer: Labels, image: ImageLayer) -> None:
        shape = image_plane_shape(image)
        name = f"labels layer {layer.name!r}"
        if layer.multiscale:
            raise LabelsError(f"{name} is multiscale, which napari cannot edit", remedy=_OTHER_LAYER)
        if not isinstance(layer.data, np.ndarray):
            kind = type(layer.data).__name__
            raise LabelsError(f"{name} holds a {kind} instead of an array in memory", remedy=_OTHER_LAYER)
        if tuple(layer.data.shape) != shape:
            raise LabelsError(
                f"{name} has shape {tuple(layer.data.shape)}, the image {shape}",
                remedy=f"choose a layer of the image's shape, or {_OTHER_LAYER}",
            )
        self.layer = layer
        self._highest = int(np.max(layer.data)) if layer.data.size else 0
        kept = layer.metadata.get("napari_sam")  # of an earlier writer; a layer of a closed store has a dict there
        self._earlier: list[ObjectRecord] = list(kept) if isinstance(kept, list) else []
        self._painted = False
        layer.events.paint.connect(self._on_paint)
        self._done: list[_ObjectPixels] = []
        self._undone: list[_ObjectPixels] = []

    @classmethod
    def create(cls, image: ImageLayer) -> LabelsLayerWriter:
        """Make a new labels layer that lies on the image.

        Raises
        ------
        LabelsError
            If a layer of the image's size would not fit into memory.
        """
        shape = image_plane_shape(image)
        if int(np.prod(shape, dtype=np.int64)) > _MAX_PIXELS:
            raise LabelsError(
                f"an image of shape {shape} is too large for a labels layer in memory",
                remedy="write to a label store, or crop the image",
            )
        data = np.zeros(shape, np.uint32)
        return cls(Labels(data, name=f"{image.name} objects", opacity=0.6, **placement(image)), image)

    def _on_paint(self) -> None:
        self._painted = True  # the brush may have used the next id

    @property
    def layers(self) -> list[Labels]:
        """The layer, as a list."""
        return [self.layer]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane."""
        return int(self.layer.data.shape[-2]), int(self.layer.data.shape[-1])

    def labels_in(self, box: Box, plane: tuple[int, ...]) -> NDArray[np.generic]:
        """Return the ids in a box (y0, x0, y1, x1), inside a plane."""
        return np.asarray(self.layer.data[(*plane, *box.slices)])

    @property
    def next_label(self) -> int:
        """Id of the next object."""
        return self._highest + 1

    @property
    def can_undo(self) -> bool:
        """Whether there is an object to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an object to write again."""
        return bool(self._undone)

    def commit(
        self, prediction: Prediction, plane: tuple[int, ...], overlap: str = "keep", candidate: int | None = None
    ) -> int:
        """Write an object with the next id, and return the id; see `LabelWriter.commit`.

        Raises
        ------
        LabelsError
            If no pixel would be written, or the layer's dtype cannot hold the id.
        """
        label = self._new_label(overlap)
        chosen = prediction.best if candidate is None else candidate
        index, before = self._changed_pixels(_pixels(prediction.mask_at(chosen), prediction.bbox, plane), overlap)
        self._write(_ObjectPixels(index, before, _record(label, prediction, chosen, plane, len(before))))
        self._undone.clear()
        return label

    def commit_planes(
        self, followed: Propagation, overlap: str = "keep", *, parent: int | None = None, label: int | None = None
    ) -> int:
        """Write an object that lies on several planes, and return its id; see `LabelWriter.commit_planes`.

        Raises
        ------
        LabelsError
            As in `commit`, or if the object descends from another one.
        """
        if parent is not None:
            raise LabelsError(f"a labels layer cannot hold that object {parent} is the parent", remedy=_OTHER_STORE)
        if label is not None:
            raise LabelsError(f"object {label} belongs to a label store", remedy=_OTHER_LAYER)
        label = self._new_label(overlap)
        parts = [_pixels(*followed.mask(p), followed.index(p)) for p in followed.planes]
        index, before = self._changed_pixels(tuple(np.concatenate(axis) for axis in zip(*parts, strict=True)), overlap)
        self._write(_ObjectPixels(index, before, _record_of_planes(label, followed, len(before))))
        self._undone.clear()
        return label

    def _new_label(self, overlap: str) -> int:
        """Return the id of a new object; raises `LabelsError` if the rule is unknown or the id does not fit."""
        if overlap not in OVERLAPS:
            raise LabelsError(
                f"overlap is {overlap!r}", parameter="overlap", remedy=f"choose one of {', '.join(OVERLAPS)}"
            )
        data = self.layer.data
        if self._painted:
            self._highest, self._painted = max(self._highest, int(np.max(data))), False
        if self.next_label > np.iinfo(data.dtype).max:
            raise LabelsError(
                f"label {self.next_label} does not fit the layer's {data.dtype}",
                remedy=f"convert the layer to uint32 (right click, Convert data type), or {_OTHER_LAYER}",
            )
        return self.next_label

    def _changed_pixels(self, index: PixelIndex, overlap: str) -> tuple[PixelIndex, NDArray[np.generic]]:
        """Return the pixels of a mask that may be written, and their values before."""
        if not len(index[0]):
            raise LabelsError("the mask is empty", remedy="paint at least one pixel")
        before = np.asarray(self.layer.data[index])
        if overlap == "keep":
            free = before == 0
            index, before = tuple(i[free] for i in index), before[free]
        if not len(before):
            raise LabelsError("the mask lies wholly under other objects", remedy="let the new object win")
        return index, before

    def undo(self) -> bool:
        """Take the last object back, except pixels painted over since; return False if there is none."""
        if not self._done:
            return False
        change = self._done.pop()
        current = np.asarray(self.layer.data[change.index])
        unchanged = current == change.record["label"]
        index = tuple(i[unchanged] for i in change.index)
        self.layer.data[index] = change.before[unchanged]
        self._undone.append(change)
        self._highest = min(self._highest, change.record["label"] - 1)  # ids are given in ascending order
        self._refresh()
        return True

    def redo(self) -> bool:
        """Write the object that was last taken back again; return False if there is none."""
        if not self._undone:
            return False
        change = self._undone.pop()
        self._write(_ObjectPixels(change.index, np.asarray(self.layer.data[change.index]), change.record))
        return True

    def _write(self, change: _ObjectPixels) -> None:
        self.layer.data[change.index] = change.record["label"]
        self._done.append(change)
        self._highest = max(self._highest, change.record["label"])
        self._refresh()

    def _refresh(self) -> None:
        """Show the change, and the object table as the layer's features."""
        records = [*self._earlier, *(change.record for change in self._done)]
        self.layer.metadata["napari_sam"] = records
        columns = ["label", "area_px", "predicted_iou", "stability_score"]
        table = pd.DataFrame.from_records(list(records), columns=list(ObjectRecord.__annotations__))[columns]
        self.layer.features = table.rename(columns={"label": "index"})
        self.layer.refresh()


def _pixels(mask: NDArray[np.bool_], box: tuple[int, int, int, int], plane: tuple[int, ...]) -> PixelIndex:
    """Return the index of a mask's pixels in an array of all planes."""
    rows, cols = np.nonzero(mask)
    return *(np.full(len(rows), p) for p in plane), rows + box[0], cols + box[1]


def _record_of_planes(label: int, followed: Propagation, area: int) -> ObjectRecord:
    first, y0, x0, _, y1, x1 = followed.bbox
    score = min(followed.scores.values())
    return {
        "label": label,
        "plane": followed.index(first),
        "area_px": area,
        "bbox": (y0, x0, y1, x1),
        "predicted_iou": score,
        "stability_score": float("nan"),
        "candidate": 0,
        "model": followed.model,
        "points": [],
        "point_labels": [],
        "box": None,
    }


def _record(label: int, prediction: Prediction, chosen: int, plane: tuple[int, ...], area: int) -> ObjectRecord:
    prompt = prediction.prompt
    return {
        "label": label,
        "plane": plane,
        "area_px": area,
        "bbox": prediction.bbox,
        "predicted_iou": float(prediction.predicted_iou[chosen]),
        "stability_score": float(prediction.stability_score[chosen]),
        "candidate": chosen,
        "model": prediction.model,
        "points": prompt.points.tolist(),
        "point_labels": prompt.point_labels.tolist(),
        "box": prompt.box,
    }
