"""Going through a store's objects one by one: which is looked at, what was decided, and its outline on a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap

from napari_sam.errors import LabelsError
from napari_sam.io.labels.edits import intersection
from napari_sam.io.labels.review_queue import Candidate, Counts, ReviewQueue
from napari_sam.layers.prompt_layers import TEMPORARY, placement, translate_to

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.layers.label_store_layers import StoreWriter

OUTLINE_NAME = "SAM review"
_OUTLINE_PX = 1024  # larger objects are outlined on a coarser level
_YELLOW = (1.0, 0.9, 0.0, 1.0)


class Review:
    """One object after another, until all have a verdict.

    Parameters
    ----------
    writer : StoreWriter
        Of the store that is reviewed.

    Attributes
    ----------
    current : Candidate or None
        The object that is looked at; None when nothing is left.
    counts : Counts
        How far the review is.
    """

    def __init__(self, writer: StoreWriter) -> None:
        self.writer = writer
        self._queue = ReviewQueue(writer.store)
        self._passed: list[Candidate] = []  # since the last verdict
        self.current = self._queue.following()
        self.counts = self._queue.counts()

    @property
    def can_undo(self) -> bool:
        """Whether there is a verdict to take back, or an object that was skipped to go back to."""
        return bool(self._passed) or self._queue.last_verdict() is not None

    def decide(self, verdict: str) -> None:
        """Accept or reject the object, and go on to the next.

        Raises
        ------
        LabelsError
            If it is gone meanwhile; the next one is looked at.
        StoreError
            If it cannot be written.
        """
        if self.current is None:
            return
        try:
            self.writer.review(self.current.label, verdict)
        except LabelsError:
            self.go_on()
            raise
        self._passed.clear()
        rejected = self.counts.rejected + (verdict == "rejected")
        # Not counted anew each time: that takes longer with every verdict.
        self.counts = Counts(self.counts.reviewed + 1, rejected, len(self.writer.store) + rejected)
        self.go_on()

    def skip(self) -> None:
        """Go on without a verdict; the object comes again after all others."""
        if self.current is not None:
            self._passed.append(self.current)
            self.go_on()

    def return_to(self, candidate: Candidate) -> None:
        """Look at an object again, or at the one behind it if it has its verdict now."""
        self.current = candidate
        if self._queue.waits(candidate.label):
            self.current = Candidate.of(self.writer.store.object(candidate.label))
        else:
            self.go_on()

    def go_on(self) -> None:
        """Look at the next object; after the last, at those that were passed over."""
        self.current = self._queue.following(self.current) or self._queue.following()

    def undo(self) -> bool:
        """Go back to the object skipped last, or take back the last verdict; False if there is none.

        Other changes are not undone here: a whole run would be gone by one key.
        """
        if self._passed:
            self.current = self._passed.pop()
            return True
        return self._step(self._queue.last_verdict(), "undo")

    def redo(self) -> bool:
        """Give the verdict that was taken back again; False if there is none."""
        done = self._step(self._queue.next_verdict(), "redo")
        if done:
            self.go_on()
        return done

    def _step(self, label: int | None, name: str) -> bool:
        if label is None:
            return False
        before = self.writer.store.object(label) if name == "redo" else None
        getattr(self.writer, name)()
        self.current = Candidate.of(before or self.writer.store.object(label))
        self.counts = self._queue.counts()
        return True


@dataclass
class Outline:
    """The layer that shows which object is meant."""

    layer: Labels
    image: ImageLayer

    @classmethod
    def create(cls, viewer: ViewerModel, image: ImageLayer) -> Outline:
        """Put an empty outline on top of all layers."""
        data = np.zeros((1,) * image.ndim, np.uint8)
        layer = Labels(data, name=OUTLINE_NAME, opacity=1.0, metadata={TEMPORARY: True}, **placement(image))
        layer.colormap = CyclicLabelColormap(colors=np.array([_YELLOW, _YELLOW]), background_value=0)
        layer.editable = False
        viewer.add_layer(layer)
        return cls(layer, image)

    def show(self, store: LabelStore, candidate: Candidate) -> None:
        """Outline an object."""
        mask, (y, x), factor = outline_mask(store, candidate)
        lead = (1.0,) * len(candidate.plane)
        middle = (factor - 1) / 2  # a coarse pixel's centre, level-0 pixels
        self.layer.contour = 0  # of the old data: napari would compute it once more
        self.layer.data = mask[(None,) * len(candidate.plane)].astype(np.uint8)
        self.layer.scale = np.asarray(self.image.scale) * (*lead, factor, factor)
        self.layer.translate = translate_to(self.image, (*candidate.plane, y + middle, x + middle))
        self.layer.contour = 2 if min(mask.shape) > 40 else 1


def outline_mask(store: LabelStore, candidate: Candidate) -> tuple[NDArray[np.bool_], tuple[int, int], int]:
    """An object's pixels with a rim of background around, at a level where they are few.

    Returns
    -------
    mask : ndarray of bool
        (h, w), 1024 x 1024 or little more at most.
    origin : (int, int)
        (y, x) of its first pixel, level-0 pixels.
    factor : int
        Level-0 pixels per pixel.
    """
    y0, x0, y1, x1 = candidate.box
    level, last = 0, len(store.levels) - 1
    while max(y1 - y0, x1 - x0) >> level > _OUTLINE_PX and level < last:
        level += 1
    factor = 1 << level
    box = (y0 // factor - 2, x0 // factor - 2, -(-y1 // factor) + 2, -(-x1 // factor) + 2)
    mask = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
    shape: Any = store.levels[level].shape[-2:]
    part = intersection(box, (0, 0, *shape))
    if part is not None:
        found = store.read(part, level, candidate.plane) == candidate.label
        mask[part[0] - box[0] : part[2] - box[0], part[1] - box[1] : part[3] - box[1]] = found
    return mask, (box[0] * factor, box[1] * factor), factor
