"""The selection on the canvas: the mouse selects, and the selected objects are outlined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.engine.geometry import Box
from napari_sam.errors import NapariSamError
from napari_sam.layers.objects.selection_band import PICK, SelectionBand
from napari_sam.layers.objects.selection_outline import SelectionOutline

if TYPE_CHECKING:
    import napari
    import numpy as np
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_sam.layers.objects.selection_band import Combine, MouseEvent
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.selected_objects import SelectedObjects


class CanvasSelection(QObject):
    """Layers that select and outline objects, while the page has the canvas.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    selected : SelectedObjects
        The selection.

    Attributes
    ----------
    tool : str
        "pick", "rectangle" or "lasso".

    Signals
    -------
    encircled : ndarray, Combine
        An area was drawn: its corners (n, 2) as (y, x), in level-0 pixels, and how it changes the selection.
    """

    encircled = Signal(object, object)

    def __init__(self, context: DockContext, selected: SelectedObjects) -> None:
        super().__init__()
        self._context, self._selected = context, selected
        self._band: SelectionBand | None = None
        self._outline: SelectionOutline | None = None
        self._tool = PICK
        self._callback = self._on_pressed
        selected.changed.connect(self.update)
        context.images.view_moved.connect(self.update)
        context.images.plane_changed.connect(self.update)
        context.images.ndisplay_changed.connect(self.update)

    @property
    def is_active(self) -> bool:
        """Whether the page has the canvas."""
        return self._band is not None

    @property
    def tool(self) -> str:
        """Tool in use."""
        return self._tool

    @tool.setter
    def tool(self, tool: str) -> None:
        self._tool = tool
        if self._band is not None:
            self._band.tool = tool
            self._context.viewer.layers.selection.active = self._band.layer

    def begin(self, image: ImageLayer) -> None:
        """Add the layers, and take the mouse."""
        self.end()
        viewer = self._context.viewer
        self._outline = SelectionOutline(image)
        self._band = SelectionBand(image, self._on_click, self.encircled.emit)
        with self._context.layer_list.own_change():
            for layer in self._layers():
                viewer.add_layer(layer)
                self._context.keys.add_layer(layer)
        viewer.mouse_drag_callbacks.append(self._callback)
        self.tool = self._tool
        self.update()

    def end(self) -> None:
        """Remove the layers."""
        layers = self._layers()
        self._band = self._outline = None
        if self._callback in self._context.viewer.mouse_drag_callbacks:
            self._context.viewer.mouse_drag_callbacks.remove(self._callback)
        self._context.layer_list.remove(layers)

    def update(self) -> None:
        """Outline what is selected of what is in view."""
        outline, store_layers, images = self._outline, self._context.labels.store_layers, self._context.images
        view, plane = images.view, images.quiet_plane
        if outline is None or outline.layer not in self._context.viewer.layers:
            return
        if store_layers is None or view is None or plane is None:
            outline.layer.visible = False
            return
        try:
            outline.show(store_layers.store, self._selected.labels, view, plane)
        except NapariSamError as error:
            self._context.notifier.error(str(error))

    def _layers(self) -> list[Layer]:
        return [] if self._band is None or self._outline is None else [self._outline.layer, self._band.layer]

    def _on_pressed(self, viewer: napari.Viewer, event: MouseEvent) -> None:
        """Take a click while another layer is selected in the layer list, as after its contrast was changed."""
        band = self._band
        is_left = event.button == 1 and viewer.dims.ndisplay == 2
        active = viewer.layers.selection.active
        if is_left and band is not None and active is not band.layer and self._is_passive(active):
            viewer.layers.selection.active = band.layer

    def _is_passive(self, layer: Layer | None) -> bool:
        """Whether a layer takes no clicks."""
        return layer is None or str(getattr(layer, "mode", "pan_zoom")) == "pan_zoom"

    def _on_click(self, position: tuple[float, float], how: Combine) -> None:
        store_layers, plane = self._context.labels.store_layers, self._context.images.quiet_plane
        if store_layers is None or plane is None:
            return
        y, x = (round(value) for value in position)
        pixel = Box(y, x, y + 1, x + 1).clip(store_layers.plane_shape)
        label = 0 if pixel.is_empty else int(store_layers.labels_in(pixel, plane)[0, 0])
        self._selected.pick(label, how)


def area_corners(corners: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the corners of an area as a list of (y, x)."""
    return [(float(y), float(x)) for y, x in corners]
