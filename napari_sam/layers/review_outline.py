"""The outline of the object under review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap

from napari_sam.engine.geometry import Box
from napari_sam.layers.placement import TEMPORARY, crop_placement, placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.labels.review_queue import ReviewItem

OUTLINE_NAME = "SAM review"
_OUTLINE_PX = 1024  # larger objects are outlined on a coarser level
_RIM_PX = 2
_THIN_PX = 40  # smaller objects get a thinner outline
_YELLOW = (1.0, 0.9, 0.0, 1.0)


@dataclass
class ReviewOutline:
    """Layer that outlines one object.

    Attributes
    ----------
    layer : napari.layers.Labels
        The layer.
    image : napari.layers.Image
        Image that it lies on.
    """

    layer: Labels
    image: ImageLayer

    @classmethod
    def create(cls, viewer: ViewerModel, image: ImageLayer) -> ReviewOutline:
        """Add an empty outline on top of all layers."""
        data = np.zeros((1,) * image.ndim, np.uint8)
        layer = Labels(data, name=OUTLINE_NAME, opacity=1.0, metadata={TEMPORARY: True}, **placement(image))
        layer.colormap = CyclicLabelColormap(colors=np.array([_YELLOW, _YELLOW]), background_value=0)
        viewer.add_layer(layer)
        return cls(layer, image)

    def show(self, store: LabelStore, candidate: ReviewItem) -> None:
        """Outline an object."""
        mask, origin, factor = outline_mask(store, candidate)
        placed = crop_placement(self.image, candidate.plane, origin, factor)
        self.layer.contour = 0  # otherwise napari computes the outline of the old data once more
        self.layer.data = mask[(None,) * len(candidate.plane)].astype(np.uint8)
        self.layer.scale, self.layer.translate = placed["scale"], placed["translate"]
        self.layer.editable = False  # napari makes a layer with new data editable
        self.layer.contour = 2 if min(mask.shape) > _THIN_PX else 1


def outline_mask(store: LabelStore, candidate: ReviewItem) -> tuple[NDArray[np.bool_], tuple[int, int], int]:
    """Return the mask of an object with a rim of background, at a level where it is small enough to draw.

    Returns
    -------
    mask : ndarray of bool
        (h, w), hardly more than 1024 x 1024.
    origin : (int, int)
        (y, x) of its first pixel, in level-0 pixels.
    factor : int
        Level-0 pixels per pixel.
    """
    y0, x0, y1, x1 = candidate.box
    level, last = 0, len(store.levels) - 1
    while max(y1 - y0, x1 - x0) >> level > _OUTLINE_PX and level < last:
        level += 1
    factor = 1 << level
    box = Box(y0 // factor, x0 // factor, -(-y1 // factor), -(-x1 // factor)).grow(_RIM_PX)
    mask = np.zeros(box.shape, bool)
    h, w = store.levels[level].shape[-2:]
    part = box.clip((h, w))
    if not part.is_empty:
        pixels = store.read(part, level, candidate.plane) == candidate.label
        mask[part.shift(-box.y0, -box.x0).slices] = pixels
    return mask, (box.y0 * factor, box.x0 * factor), factor
