"""The outlines of the selected objects, drawn for what is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap

from napari_sam.engine.geometry import Box
from napari_sam.layers.placement import TEMPORARY, crop_placement, placement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.io.labels.label_store import LabelStore

OUTLINE_NAME = "SAM selected"
SELECTED = "#ff19e6"
"""Magenta, which neither classes, measured values nor previews have."""
_OUTLINE_PX = 1024  # larger views are outlined on a coarser level, which is as fine as the screen
_LEAST_PX = 512  # smaller ones get finer pixels, so that lines stay thin
_LINE_PX = 2


class SelectionOutline:
    """Layer that outlines the selected objects of a store.

    Parameters
    ----------
    image : napari.layers.Image
        Image that the objects belong to.

    Attributes
    ----------
    layer : napari.layers.Labels
        The layer; add it to the viewer.
    """

    def __init__(self, image: ImageLayer) -> None:
        self._image = image
        data = np.zeros((1,) * image.ndim, np.uint32)
        self.layer = Labels(data, name=OUTLINE_NAME, opacity=1.0, metadata={TEMPORARY: True}, **placement(image))
        self.layer.colormap = CyclicLabelColormap(colors=[SELECTED, SELECTED], background_value=0)
        self.layer.editable = False

    def show(self, store: LabelStore, selected: Iterable[int], view: Box, plane: tuple[int, ...]) -> None:
        """Outline the selected objects in a view (y0, x0, y1, x1) of level-0 pixels."""
        labels = np.fromiter(selected, np.int64)
        shown = selected_pixels(store, labels, view, plane) if len(labels) else None
        layer = self.layer
        layer.visible = shown is not None
        if shown is None:
            return
        pixels, origin, factor = shown
        placed = crop_placement(self._image, plane, origin, factor)
        layer.contour = 0  # otherwise napari computes the outlines of the old data once more
        layer.data = pixels[(None,) * len(plane)]
        layer.scale, layer.translate = placed["scale"], placed["translate"]
        layer.editable = False  # napari makes a layer with new data editable
        layer.contour = _LINE_PX


def selected_pixels(
    store: LabelStore, selected: NDArray[np.int64], view: Box, plane: tuple[int, ...]
) -> tuple[NDArray[np.uint32], tuple[int, int], float] | None:
    """Return the pixels of the selected objects in a view.

    Parameters
    ----------
    store : LabelStore
        Store of the objects.
    selected : ndarray of int
        Their ids.
    view : Box
        (y0, x0, y1, x1) in level-0 pixels, which may reach beyond the image.
    plane : tuple of int
        Index along the leading axes.

    Returns
    -------
    labels : ndarray of uint32
        (h, w), the ids; 0 elsewhere.
    origin : (int, int)
        (y, x) of the first pixel, in level-0 pixels.
    factor : float
        Level-0 pixels per pixel. None in place of all three if the view lies beside the image.
    """
    visible = Box(*view).clip((store.shape[-2], store.shape[-1]))
    if visible.is_empty:
        return None
    level, last = 0, len(store.levels) - 1
    while max(visible.shape) >> level > _OUTLINE_PX and level < last:
        level += 1
    factor = 1 << level
    y0, x0, y1, x1 = visible
    box = Box(y0 // factor, x0 // factor, -(-y1 // factor), -(-x1 // factor))
    h, w = store.levels[level].shape[-2:]
    pixels = store.read(box.clip((h, w)), level, plane)
    pixels = np.where(is_selected(pixels, selected), pixels, 0).astype(np.uint32)
    finer = max(1, _LEAST_PX // max(pixels.shape))
    return pixels.repeat(finer, 0).repeat(finer, 1), (box.y0 * factor, box.x0 * factor), factor / finer


def is_selected(pixels: NDArray[np.uint32], selected: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each pixel whether its label is among the selected ones.

    >>> is_selected(np.array([[0, 4], [9, 2**31]]), np.array([9, 2**31])).tolist()
    [[False, False], [True, True]]
    """
    ordered = np.sort(selected)
    position = np.minimum(np.searchsorted(ordered, pixels), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[position] == pixels
    return found
