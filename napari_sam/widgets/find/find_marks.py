"""Objects that the user marks: saved ones, and those of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.layers.find.objects_under import layer_object, stored_object

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.widgets.dock_context import DockContext


def labelled_object(
    context: DockContext, plane: tuple[int, ...], y: int, x: int
) -> tuple[NDArray[np.bool_], Box] | None:
    """Return mask and box of the saved object at a pixel, else of one in a labels layer; None without any.

    Raises
    ------
    NapariSamError
        If the labels cannot be read, or do not lie on the image.
    """
    layer, labels = context.images.layer, context.labels
    saved = stored_object(labels.store_layers, plane, y, x)
    if saved is not None or layer is None:
        return saved
    own = labels.store_layers
    return layer_object(context.viewer.layers, [] if own is None else own.layers, layer, plane, y, x)
