"""The canvas while the page "Find" is shown: outlines, clicks and the lasso."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.layers.find.found_layer import FoundLayer
from napari_sam.layers.objects.selection_band import PICK, Combine, SelectionBand

if TYPE_CHECKING:
    import napari
    import numpy as np
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_sam.layers.find.search import Place, Search
    from napari_sam.layers.objects.selection_band import MouseEvent
    from napari_sam.widgets.dock_context import DockContext


class FindCanvas(QObject):
    """Layers that outline candidates and take the mouse.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.

    Signals
    -------
    clicked : float, float, bool
        (y, x) in level-0 pixels, and whether the object there is of the kind.
    encircled : ndarray, bool
        Corners (n, 2) of the lasso, and whether the objects inside are of the kind.
    """

    clicked = Signal(float, float, bool)
    encircled = Signal(object, bool)

    def __init__(self, context: DockContext) -> None:
        super().__init__()
        self._context = context
        self._band: SelectionBand | None = None
        self._found: FoundLayer | None = None
        self._tool = PICK
        self._callback = self._on_pressed

    @property
    def is_active(self) -> bool:
        """Whether the page has the canvas."""
        return self._band is not None

    @property
    def tool(self) -> str:
        """What the mouse does: "pick" or "lasso"."""
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
        self._found = FoundLayer(image)
        self._band = SelectionBand(image, self._on_click, self._on_area)
        viewer = self._context.viewer
        with self._context.layer_list.own_change():
            for layer in self._layers():
                viewer.add_layer(layer)
                self._context.keys.add_layer(layer)
        viewer.mouse_drag_callbacks.append(self._callback)
        self.tool = self._tool

    def end(self) -> None:
        """Remove the layers."""
        layers = self._layers()
        self._band = self._found = None
        if self._callback in self._context.viewer.mouse_drag_callbacks:
            self._context.viewer.mouse_drag_callbacks.remove(self._callback)
        self._context.layer_list.remove(layers)

    def select(self) -> None:
        """Let the layer that takes the mouse be the active one."""
        if self._band is not None and self._band.layer in self._context.viewer.layers:
            self._context.viewer.layers.selection.active = self._band.layer

    def show(self, search: Search, place: Place, plane: tuple[int, ...]) -> None:
        """Outline the results, or before a search the examples of this place."""
        found = self._found
        if found is None or found.layer not in self._context.viewer.layers:
            return
        if search.ranking is not None and search.found is not None and search.found.place == place:
            found.show(search, plane)
        else:
            found.show_examples([e for e in search.choices.examples if e.place == place], plane)

    def _layers(self) -> list[Layer]:
        return [] if self._band is None or self._found is None else [self._found.layer, self._band.layer]

    def _on_pressed(self, viewer: napari.Viewer, event: MouseEvent) -> None:
        """Take a click while a layer is active that takes none, as after its contrast was changed."""
        active = viewer.layers.selection.active
        is_passive = active is None or str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"
        if event.button == 1 and viewer.dims.ndisplay == 2 and is_passive:
            self.select()

    def _on_click(self, position: tuple[float, float], how: Combine) -> None:
        self.clicked.emit(*position, how is not Combine.REMOVE)

    def _on_area(self, corners: NDArray[np.float64], how: Combine) -> None:
        self.encircled.emit(corners, how is not Combine.REMOVE)
