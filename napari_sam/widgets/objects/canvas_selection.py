"""The selection on the canvas: the mouse selects, and the selected objects are outlined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal

from napari_sam.engine.geometry import Box
from napari_sam.errors import NapariSamError
from napari_sam.layers.objects.selection_outline import SelectionOutline
from napari_sam.widgets.objects.selection_canvas import SelectionCanvas

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_sam.layers.objects.selection_band import Combine
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.selected_objects import SelectedObjects


class CanvasSelection(SelectionCanvas):
    """Layers that select and outline objects, while the page has the canvas.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    selected : SelectedObjects
        The selection.

    Signals
    -------
    encircled : ndarray, Combine
        An area was drawn: its corners (n, 2) as (y, x), in level-0 pixels, and how it changes the selection.
    """

    encircled = Signal(object, object)

    def __init__(self, context: DockContext, selected: SelectedObjects) -> None:
        super().__init__(context)
        self._selected = selected
        self._outline: SelectionOutline | None = None
        selected.changed.connect(self.update)
        context.images.view_moved.connect(self.update)
        context.images.plane_changed.connect(self.update)
        context.images.ndisplay_changed.connect(self.update)

    def begin(self, image: ImageLayer) -> None:
        """Add the layers, take the mouse, and outline what is selected."""
        super().begin(image)
        self.update()

    def update(self) -> None:
        """Outline what is selected of what is in view."""
        outline, store_layers, images = self._outline, self._context.labels.store_layers, self._context.images
        view, plane = images.view, images.quiet_plane
        if outline is None or not self._is_outlining:
            return
        if store_layers is None or view is None or plane is None:
            outline.layer.visible = False
            return
        try:
            outline.show(store_layers.store, self._selected.labels, view, plane)
        except NapariSamError as error:
            self._context.notifier.error(str(error))

    def _new_outline(self, image: ImageLayer) -> Layer:
        self._outline = SelectionOutline(image)
        return self._outline.layer

    def _on_click(self, position: tuple[float, float], how: Combine) -> None:
        store_layers, plane = self._context.labels.store_layers, self._context.images.quiet_plane
        if store_layers is None or plane is None:
            return
        y, x = (round(value) for value in position)
        pixel = Box(y, x, y + 1, x + 1).clip(store_layers.plane_shape)
        label = 0 if pixel.is_empty else int(store_layers.labels_in(pixel, plane)[0, 0])
        self._selected.pick(label, how)

    def _on_area(self, corners: NDArray[np.float64], how: Combine) -> None:
        self.encircled.emit(corners, how)


def area_corners(corners: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the corners of an area as a list of (y, x)."""
    return [(float(y), float(x)) for y, x in corners]
