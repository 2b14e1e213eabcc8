"""A temporary layer with the outlines of objects that are followed through planes and not saved yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap

from napari_sam.engine.geometry import Box
from napari_sam.layers.insert_layer import lay_above
from napari_sam.layers.placement import TEMPORARY, placement, translate_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.layers.prompt_layers import MaskCrop

FOLLOWED_NAME = "SAM followed"
_LARGEST_PX = 1 << 22  # napari draws outlines in the GUI thread
_COLOUR = (1.0, 0.62, 0.1, 1.0)


class FollowedLayer:
    """Outlines on the plane that is shown.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer to add the layer to.
    image : napari.layers.Image
        Image on which the objects lie.
    """

    def __init__(self, viewer: ViewerModel, image: ImageLayer) -> None:
        self.image = image
        data = np.zeros((1,) * image.ndim, np.uint8)
        self.layer = Labels(data, name=FOLLOWED_NAME, metadata={TEMPORARY: True}, opacity=0.9, **placement(image))
        self.layer.colormap = CyclicLabelColormap(colors=np.array([_COLOUR, _COLOUR]), background_value=0)
        self.layer.editable = False
        lay_above(viewer, image, self.layer)

    def show(self, masks: Sequence[MaskCrop], plane: tuple[int, ...]) -> None:
        """Outline masks with their boxes (y0, x0, y1, x1) on a plane; those too far apart for one crop are left out."""
        crop, origin = _drawn(masks)
        self.layer.contour = 0  # otherwise napari computes the outline of the old data once more
        self.layer.data = crop[(None,) * len(plane)]
        self.layer.translate = translate_to(self.image, (*plane, *origin))
        self.layer.editable = False  # napari makes a layer with new data editable
        self.layer.contour = 1


def _drawn(masks: Sequence[MaskCrop]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Draw masks into one crop with a rim, because napari draws no outline along the border of the data."""
    kept: list[MaskCrop] = []
    frame = Box(0, 0, 0, 0)
    for mask, box in masks:
        grown = Box(*box).grow(1)
        union = frame.union(grown) if kept else grown
        if union.height * union.width <= _LARGEST_PX:
            frame, kept = union, [*kept, (mask, box)]
    if not kept:
        return np.zeros((1, 1), np.uint8), (0, 0)
    crop = np.zeros(frame.shape, np.uint8)
    for number, (mask, box) in enumerate(kept):
        crop[Box(*box).slices_in(frame)][mask] = number % 254 + 1
    return crop, (frame.y0, frame.x0)
