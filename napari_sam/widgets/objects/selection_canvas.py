"""The canvas while a page selects objects on it: the page's layers, and the mouse."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam.layers.insert_layer import insert_unselected
from napari_sam.layers.objects.selection_band import PICK, SelectionBand

if TYPE_CHECKING:
    import napari
    import numpy as np
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_sam.layers.objects.selection_band import Combine, MouseEvent
    from napari_sam.widgets.dock_context import DockContext


class SelectionCanvas(QObject):
    """A layer that takes the mouse, above one that outlines objects, while a page is shown.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    """

    def __init__(self, context: DockContext) -> None:
        super().__init__()
        self._context = context
        self._band: SelectionBand | None = None
        self._outline_layer: Layer | None = None
        self._tool = PICK
        self._callback = self._on_pressed

    @property
    def is_active(self) -> bool:
        """Whether the page has the canvas."""
        return self._band is not None

    @property
    def tool(self) -> str:
        """What the mouse does: "pick", "rectangle" or "lasso"."""
        return self._tool

    @tool.setter
    def tool(self, tool: str) -> None:
        self._tool = tool
        if self._band is not None:
            self._band.tool = tool
            self.select()

    def begin(self, image: ImageLayer) -> None:
        """Add the layers, and take the mouse."""
        self.end()
        viewer = self._context.viewer
        self._outline_layer = self._new_outline(image)
        self._band = SelectionBand(image, self._on_click, self._on_area)
        with self._context.layer_list.own_change():
            insert_unselected(viewer, len(viewer.layers), self._outline_layer)
            viewer.add_layer(self._band.layer)
        for layer in (self._outline_layer, self._band.layer):
            self._context.keys.add_layer(layer)
        viewer.mouse_drag_callbacks.append(self._callback)
        self.tool = self._tool

    def end(self) -> None:
        """Remove the layers."""
        layers = [] if self._band is None or self._outline_layer is None else [self._outline_layer, self._band.layer]
        self._band = self._outline_layer = None
        if self._callback in self._context.viewer.mouse_drag_callbacks:
            self._context.viewer.mouse_drag_callbacks.remove(self._callback)
        self._context.layer_list.remove(layers)

    def select(self) -> None:
        """Let the layer that takes the mouse be the active one."""
        if self._band is not None and self._band.layer in self._context.viewer.layers:
            self._context.viewer.layers.selection.active = self._band.layer

    @property
    def _is_outlining(self) -> bool:
        """Whether the layer of outlines is in the viewer."""
        return self._outline_layer is not None and self._outline_layer in self._context.viewer.layers

    @abstractmethod
    def _new_outline(self, image: ImageLayer) -> Layer:
        """Return the layer that outlines objects."""

    @abstractmethod
    def _on_click(self, position: tuple[float, float], how: Combine) -> None:
        """Take a click at (y, x), in level-0 pixels."""

    @abstractmethod
    def _on_area(self, corners: NDArray[np.float64], how: Combine) -> None:
        """Take the corners (n, 2) of what was drawn, as (y, x) in level-0 pixels."""

    def _on_pressed(self, viewer: napari.Viewer, event: MouseEvent) -> None:
        """Take a click while a layer is active that takes none, as after its contrast was changed."""
        active = viewer.layers.selection.active
        is_passive = active is None or str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"
        is_other = self._band is not None and active is not self._band.layer
        if event.button == 1 and viewer.dims.ndisplay == 2 and is_passive and is_other:
            self.select()
