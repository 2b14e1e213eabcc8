"""The canvas while the page "Find" is shown: outlines, clicks and the lasso."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal

from napari_sam.layers.find.found_layer import FoundLayer
from napari_sam.layers.objects.selection_band import Combine
from napari_sam.widgets.objects.selection_canvas import SelectionCanvas

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_sam.layers.find.search import Place, Search
    from napari_sam.widgets.dock_context import DockContext


class FindCanvas(SelectionCanvas):
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
        super().__init__(context)
        self._found: FoundLayer | None = None

    def show(self, search: Search, place: Place, plane: tuple[int, ...]) -> None:
        """Outline the results, or before a search the examples of this place."""
        found = self._found
        if found is None or not self._is_outlining:
            return
        if search.ranking is not None and search.found is not None and search.found.place == place:
            found.show(search, plane)
        else:
            found.show_examples([e for e in search.choices.examples if e.place == place], plane)

    def _new_outline(self, image: ImageLayer) -> Layer:
        self._found = FoundLayer(image)
        return self._found.layer

    def _on_click(self, position: tuple[float, float], how: Combine) -> None:
        self.clicked.emit(*position, how is not Combine.REMOVE)

    def _on_area(self, corners: NDArray[np.float64], how: Combine) -> None:
        self.encircled.emit(corners, how is not Combine.REMOVE)
