"""Inserting layers that are not to be selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer


def insert_unselected(viewer: ViewerModel, index: int, layer: Layer) -> None:
    """Insert a layer, and leave the selection as it is.

    napari selects a layer that is inserted. To select the earlier one again afterwards would take 30 ms more of the GUI
    thread, because buttons, controls and highlights follow each selection.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer to add the layer to.
    index : int
        Position in the layer list, from the bottom.
    layer : napari.layers.Layer
        The layer.
    """
    selection = viewer.layers.selection
    active, selected = selection.active, set(selection)
    with selection.events.blocker_all():
        viewer.layers.insert(index, layer)
        selection.active = active
        selection.update(selected)


def lay_above(viewer: ViewerModel, image: ImageLayer, layer: Layer) -> None:
    """Insert a layer right above an image, or move it there, and leave the selection as it is."""
    place = viewer.layers.index(image) + 1
    if layer not in viewer.layers:
        insert_unselected(viewer, place, layer)
    elif viewer.layers.index(layer) != place:
        viewer.layers.move(viewer.layers.index(layer), place)
