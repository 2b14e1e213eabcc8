"""The object under the mouse, in the label store or in a labels layer of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from napari.layers import Labels

from napari_sam.engine.geometry import Box
from napari_sam.layers.layer_prompts import labels_on_image, layers_with_objects

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.components import LayerList
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_sam.layers.label_store_layers import LabelStoreLayers

_FIRST_PX = 512


class Pixels(Protocol):
    """A label image (h, w), in memory or lazy."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        ...

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[np.integer]:
        """Return a part of it."""
        ...


def stored_object(
    store_layers: LabelStoreLayers | None, plane: tuple[int, ...], y: int, x: int
) -> tuple[NDArray[np.bool_], Box] | None:
    """Return mask and box of the saved object at a pixel; None if there is none.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    if store_layers is None:
        return None
    pixel = Box(y, x, y + 1, x + 1).clip(store_layers.plane_shape)
    label = 0 if pixel.is_empty else int(store_layers.labels_in(pixel, plane)[0, 0])
    if not label:
        return None
    return store_layers.store.mask(label, plane) if plane else store_layers.store.mask(label)


def layer_object(
    layers: LayerList, excluded: Collection[Layer], image: ImageLayer, plane: tuple[int, ...], y: int, x: int
) -> tuple[NDArray[np.bool_], Box] | None:
    """Return mask and box of the object at a pixel in the topmost visible labels layer that has one there.

    Raises
    ------
    PromptError
        If a labels layer cannot be placed on the image.
    """
    for layer in reversed(layers_with_objects(layers, excluded)):
        if not isinstance(layer, Labels) or not layer.visible:
            continue
        found = object_around(labels_on_image(layer, image, plane), y, x)
        if found is not None:
            return found
    return None


def object_around(pixels: Pixels, y: int, x: int) -> tuple[NDArray[np.bool_], Box] | None:
    """Return mask and box of the object at a pixel of a label image, read in a window that grows as far as needed.

    Examples
    --------
    >>> labels = np.zeros((9, 9), int)
    >>> labels[2:4, 3:8] = 5
    >>> mask, box = object_around(labels, 2, 3)
    >>> box, bool(mask.all())
    ((2, 3, 4, 8), True)
    """
    height, width = pixels.shape
    if not (0 <= y < height and 0 <= x < width):
        return None
    label = int(np.asarray(pixels[y : y + 1, x : x + 1])[0, 0])
    if not label:
        return None
    half = _FIRST_PX // 2
    while True:
        window = Box(y - half, x - half, y + half, x + half).clip((height, width))
        mask = np.asarray(pixels[window.slices]) == label
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
        found = box.shift(window.y0, window.x0)
        is_cut = (
            (found.y0 == window.y0 > 0)
            or (found.x0 == window.x0 > 0)
            or (found.y1 == window.y1 < height)
            or (found.x1 == window.x1 < width)
        )
        if not is_cut:
            return mask[box.slices], found
        half *= 2
