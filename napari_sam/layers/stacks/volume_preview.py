"""An object on many planes as one array, for the 3-D view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.layers.placement import crop_placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_sam.layers.prompt_layers import MaskCrop

_LARGEST_PX = 1 << 25  # voxels of the preview; larger objects are shown reduced
_SHOWN = 1


def show_volume(
    layer: Labels, image: ImageLayer, masks: Mapping[int, MaskCrop], leading: tuple[int, ...], index: int
) -> None:
    """Show an object on all its planes.

    Parameters
    ----------
    layer : napari.layers.Labels
        Layer to show it on.
    image : napari.layers.Image
        Image that it lies on.
    masks : mapping of int to (ndarray of bool, (int, int, int, int))
        Mask (h, w) and box of each plane, by index along the axis that is followed.
    leading : tuple of int
        Index along all leading axes of any of these planes.
    index : int
        Which leading axis is followed.
    """
    volume, (first, y0, x0), factor = object_volume(masks)
    start = (*leading[:index], first, *leading[index + 1 :])
    shape = [1] * len(leading)
    shape[index] = len(volume)
    placed = crop_placement(image, start, (y0, x0), factor)
    layer.contour = 0
    layer.data = volume.reshape(*shape, *volume.shape[1:])
    layer.scale, layer.translate = placed["scale"], placed["translate"]


def object_volume(masks: Mapping[int, MaskCrop]) -> tuple[NDArray[np.uint8], tuple[int, int, int], int]:
    """Return the masks of an object as one array, of every `factor`-th row and column if it is large.

    Parameters
    ----------
    masks : mapping of int to (ndarray of bool, (int, int, int, int))
        Mask (h, w) and box (y0, x0, y1, x1) of each plane.

    Returns
    -------
    volume : ndarray of uint8
        (planes, h, w), 1 inside the object.
    origin : (int, int, int)
        Plane, y and x of its first voxel, in level-0 pixels.
    factor : int
        Level-0 pixels per voxel along y and x.

    Examples
    --------
    >>> volume, origin, factor = object_volume({4: (np.ones((2, 3), bool), (10, 20, 12, 23))})
    >>> volume.shape, origin, factor
    ((1, 2, 3), (4, 10, 20), 1)
    """
    if not masks:
        return np.zeros((1, 1, 1), np.uint8), (0, 0, 0), 1
    boxes = [Box(*box) for _, box in masks.values()]
    frame = boxes[0]
    for box in boxes[1:]:
        frame = frame.union(box)
    first, count, factor = min(masks), max(masks) - min(masks) + 1, 1
    while count * (frame.height // factor) * (frame.width // factor) > _LARGEST_PX:
        factor *= 2
    h, w = -(-frame.height // factor), -(-frame.width // factor)
    volume = np.zeros((count, h, w), np.uint8)
    for plane, (mask, (y0, x0, _, _)) in masks.items():
        rows, cols = _first(y0 - frame.y0, factor), _first(x0 - frame.x0, factor)
        part = mask[rows::factor, cols::factor]
        y, x = -(-(y0 - frame.y0) // factor), -(-(x0 - frame.x0) // factor)
        volume[plane - first, y : y + part.shape[0], x : x + part.shape[1]][part] = _SHOWN
    return volume, (first, frame.y0, frame.x0), factor


def _first(offset: int, factor: int) -> int:
    """Return the first row of a crop at `offset` that lies on a multiple of `factor`."""
    return -offset % factor
