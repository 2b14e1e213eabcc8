"""Objects written into a Labels layer, with undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Labels

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction

OVERLAPS = ("keep", "replace")
_MAX_PIXELS = 1 << 30  # a dense label plane beyond this (4 GiB) does not fit a laptop


@dataclass(frozen=True)
class _Change:
    """Pixels that one accepted object changed, and the record of the object."""

    index: tuple[NDArray[np.intp], ...]
    before: NDArray[np.generic]
    record: dict[str, Any]


class LabelsWriter:
    """Write objects into a Labels layer as the next id, with undo and redo.

    Parameters
    ----------
    layer : napari.layers.Labels
        Single-scale, of the image's shape.
    image : napari.layers.Image
        The image the objects belong to.

    Raises
    ------
    LabelsError
        If the layer does not fit the image or cannot be written.
    """

    def __init__(self, layer: Labels, image: ImageLayer) -> None:
        shape = image_plane_shape(image)
        if layer.multiscale:
            raise LabelsError(f"labels layer {layer.name!r} is multiscale, which napari cannot edit; choose 'new'")
        if not isinstance(layer.data, np.ndarray):
            kind = type(layer.data).__name__
            raise LabelsError(f"labels layer {layer.name!r} is a {kind}, not held in memory; choose the label store")
        if tuple(layer.data.shape) != shape:
            raise LabelsError(
                f"labels layer {layer.name!r} has shape {tuple(layer.data.shape)}, the image {shape}; choose 'new'"
            )
        self.layer = layer
        self._top = int(np.max(layer.data)) if layer.data.size else 0
        self._prior = list(layer.metadata.get("napari_sam", []))  # objects of an earlier writer
        self._painted = False
        layer.events.paint.connect(self._on_paint)
        self._done: list[_Change] = []
        self._undone: list[_Change] = []

    @classmethod
    def create(cls, image: ImageLayer) -> LabelsWriter:
        """A new Labels layer that lies on the image.

        Raises
        ------
        LabelsError
            If a dense layer of the image's size would not fit into memory.
        """
        shape = image_plane_shape(image)
        if int(np.prod(shape, dtype=np.int64)) > _MAX_PIXELS:
            raise LabelsError(
                f"an image of shape {shape} is too large for a labels layer in memory; crop it, or use the "
                f"command line (napari-sam segment --crop), which writes only the object's region"
            )
        layer = Labels(
            np.zeros(shape, np.uint32),
            name=f"{image.name} objects",
            scale=image.scale,
            translate=image.translate,
            rotate=image.rotate,
            shear=image.shear,
            affine=image.affine,
            opacity=0.6,
        )
        return cls(layer, image)

    def _on_paint(self) -> None:
        self._painted = True  # the brush may have taken the next id

    @property
    def next_label(self) -> int:
        """Id of the next object."""
        return self._top + 1

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return bool(self._undone)

    def commit(
        self,
        prediction: Prediction,
        plane: tuple[int, ...],
        overlap: str = "keep",
        candidate: int | None = None,
    ) -> int:
        """Write an object as the next id.

        Parameters
        ----------
        prediction : Prediction
            What was found.
        plane : tuple of int
            Index along the leading axes.
        overlap : {"keep", "replace"}
            What wins where the object meets others: they, or it.
        candidate : int, optional
            Which of the masks; the best by default.

        Returns
        -------
        int
            The object's id.

        Raises
        ------
        LabelsError
            If nothing would be written, or the layer's dtype cannot hold the id.
        """
        if overlap not in OVERLAPS:
            raise LabelsError(f"overlap {overlap!r}: use one of {', '.join(OVERLAPS)}")
        data = self.layer.data
        if self._painted:
            self._top, self._painted = max(self._top, int(np.max(data))), False
        label = self.next_label
        if label > np.iinfo(data.dtype).max:
            raise LabelsError(
                f"label {label} does not fit the layer's {data.dtype}; convert the layer to uint32 "
                "(right click, Convert data type) or choose 'new'"
            )
        chosen = prediction.best if candidate is None else candidate
        rows, cols = np.nonzero(prediction.mask_at(chosen))
        index = (
            *(np.full(len(rows), p) for p in plane),
            rows + prediction.bbox[0],
            cols + prediction.bbox[1],
        )
        before = np.asarray(data[index])
        if overlap == "keep":
            free = before == 0
            index, before = tuple(i[free] for i in index), before[free]
        if not len(before):
            reason = "is empty" if not len(rows) else "lies wholly under other objects; let the new object win"
            raise LabelsError(f"the mask {reason}")
        record = _record(label, prediction, chosen, plane, len(before))
        self._apply(_Change(index, before, record))
        self._undone.clear()
        return label

    def undo(self) -> dict[str, Any] | None:
        """Take the last object back; pixels painted since then stay. Returns its record, or None."""
        if not self._done:
            return None
        change = self._done.pop()
        now = np.asarray(self.layer.data[change.index])
        ours = now == change.record["label"]
        index = tuple(i[ours] for i in change.index)
        self.layer.data[index] = change.before[ours]
        self._undone.append(change)
        self._top = min(self._top, change.record["label"] - 1)  # ids were given in this order
        self._publish()
        return change.record

    def redo(self) -> dict[str, Any] | None:
        """Write the object that was last taken back again. Returns its record, or None."""
        if not self._undone:
            return None
        change = self._undone.pop()
        self._apply(_Change(change.index, np.asarray(self.layer.data[change.index]), change.record))
        return change.record

    def _apply(self, change: _Change) -> None:
        self.layer.data[change.index] = change.record["label"]
        self._done.append(change)
        self._top = max(self._top, change.record["label"])
        self._publish()

    def _publish(self) -> None:
        """Show the change, and the objects' table as the layer's features."""
        records = [*self._prior, *(c.record for c in self._done)]
        self.layer.metadata["napari_sam"] = records
        shown = ("label", "area_px", "predicted_iou", "stability_score")
        table = pd.DataFrame([{k: r[k] for k in shown} for r in records], columns=list(shown))
        self.layer.features = table.rename(columns={"label": "index"})
        self.layer.refresh()


def image_plane_shape(image: ImageLayer) -> tuple[int, ...]:
    """Shape of an image layer's data without colour, level 0."""
    data = image.data[0] if image.multiscale else image.data
    shape = tuple(int(n) for n in data.shape)
    return shape[:-1] if image.rgb else shape


def _record(label: int, prediction: Prediction, chosen: int, plane: tuple[int, ...], area: int) -> dict[str, Any]:
    """What is kept of an accepted object: enough to list it and to ask for it again."""
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
