"""Where to look: what is in view, a rectangle, the whole image, or a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.engine.geometry import Box
from napari_sam.layers.placement import image_plane_shape
from napari_sam.layers.region_layer import REGION_NAME, drawn_box, region_layer
from napari_sam.widgets.find.find_panel import DRAWN, FOLDER, VIEW, WHOLE

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.find.find_canvas import FindCanvas


LARGEST_SHOWN_PX = 1 << 24
"""Largest image whose candidates are all shown for corrections before they are saved."""


class FindRegion(QObject):
    """The choice of the part of the image.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    combo : QComboBox
        Box with the choice.
    canvas : FindCanvas
        Canvas that takes the mouse unless a rectangle is drawn.

    Signals
    -------
    changed
        Another part was chosen.
    """

    changed = Signal()

    def __init__(self, context: DockContext, combo: QComboBox, canvas: FindCanvas) -> None:
        super().__init__()
        self._context, self._combo, self._canvas = context, combo, canvas
        combo.currentIndexChanged.connect(self.choose)

    @property
    def kind(self) -> str:
        """Choice in the box."""
        return str(self._combo.currentData())

    @property
    def is_everywhere(self) -> bool:
        """Whether what is found is saved at once, because there may be more than fits into memory."""
        layer = self._context.images.layer
        if self.kind != WHOLE or layer is None:
            return self.kind == FOLDER
        height, width = image_plane_shape(layer)[-2:]
        return height * width > LARGEST_SHOWN_PX

    def choose(self) -> None:
        """Get ready to draw a rectangle, or remove the one that was drawn."""
        image = self._context.images.layer
        if self.kind == DRAWN and image is not None and self._canvas.is_active:
            with self._context.layer_list.own_change():
                self._context.keys.add_layer(region_layer(self._context.viewer, image))
        else:
            self._context.layer_list.remove([x for x in self._context.viewer.layers if x.name == REGION_NAME])
            self._canvas.select()
        self.changed.emit()

    def box(self) -> Box | None:
        """Return the chosen part of the image; None if the user has to draw it first, ready to be drawn."""
        layer = self._context.images.layer
        if layer is None:
            return None
        height, width = image_plane_shape(layer)[-2:]
        if self.kind == DRAWN:
            drawn = drawn_box(self._context.viewer, layer, (height, width))
            if drawn is None:
                self.choose()
            else:
                self._canvas.select()
            return drawn
        whole, view = Box(0, 0, height, width), self._context.images.view
        if self.kind != VIEW or view is None:
            return whole
        visible = view.clip((height, width))
        return whole if visible.is_empty else visible
