"""The prompt layers of the image that is segmented, and notice of what is drawn on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.layers.prompt_history import PromptHistory
from napari_sam.layers.prompt_layers import PromptLayers
from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.toolbox import ToolBox


class DrawnPrompts(QObject):
    """Add prompt layers for an image, move them to another image, and remove them again.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    tools : ToolBox
        Tools, which work on the layers.

    Attributes
    ----------
    layers : PromptLayers or None
        The layers; None without an image.

    Signals
    -------
    drawn
        A prompt was added, moved or removed.
    """

    drawn = Signal()

    def __init__(self, context: DockContext, tools: ToolBox) -> None:
        super().__init__()
        self._context, self._tools = context, tools
        self.layers: PromptLayers | None = None
        self._check_soon = single_shot(self, 0, self._remove_outside)  # napari selects a new point after its event

    @property
    def is_incomplete(self) -> bool:
        """Whether the user removed some of the layers from the viewer."""
        present = list(self._context.viewer.layers)
        return self.layers is not None and any(layer not in present for layer in self.layers.layers)

    def begin(self, image: ImageLayer) -> None:
        """Lay the layers on an image: those of another image, if it has as many axes, or new ones."""
        if self.layers is not None and not self.is_incomplete and self.layers.image.ndim == image.ndim:
            self._check_soon.stop()
            with self._context.layer_list.own_change():
                self.layers.move_to(self._context.viewer, image)
            self._tools.history = PromptHistory(self.layers)
            return
        self.end()
        with self._context.layer_list.own_change():
            self.layers = self._tools.prompts = PromptLayers.create(self._context.viewer, image)
        self._tools.history = PromptHistory(self.layers)
        for layer in self.layers.layers:
            self._context.keys.add_layer(layer)
        self.layers.points.events.data.connect(self._on_drawn)
        self.layers.shapes.events.data.connect(self._on_drawn)

    def end(self) -> None:
        """Remove the layers that are left in the viewer."""
        self._check_soon.stop()
        removed, self.layers, self._tools.prompts, self._tools.history = self.layers, None, None, None
        if removed is not None:
            removed.points.events.data.disconnect(self._on_drawn)
            removed.shapes.events.data.disconnect(self._on_drawn)
            self._context.layer_list.remove(removed.layers)

    def clear(self) -> None:
        """Remove all prompts, and forget their order."""
        if self.layers is not None:
            self.layers.clear()
        if self._tools.history is not None:
            self._tools.history.clear()

    def _on_drawn(self, event: object) -> None:
        if str(getattr(event, "action", "")).lower().endswith("ing"):
            return  # napari emits every change twice: before and after it
        if self._tools.history is not None:
            self._tools.history.update()
        self.drawn.emit()
        self._check_soon.start()

    def _remove_outside(self) -> None:
        """Remove points beside the image: with one of them, no later click would be answered."""
        if self.layers is not None and self.layers.remove_outside():
            name = self.layers.image.name
            self._context.notifier.info(
                f"That was outside “{name}”: click inside it, or select another image in the layer list."
            )
