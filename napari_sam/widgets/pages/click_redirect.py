"""Clicks on the canvas reach the prompts while an image or the objects are selected in the layer list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari.layers import Image as ImageLayer

from napari_sam.widgets.pages.toolbox import BRUSH

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.pages.toolbox import ToolBox


class MouseEvent(Protocol):
    """What napari tells about a press on the canvas."""

    @property
    def button(self) -> int:
        """Number of the button, 1 for the left one."""
        ...

    @property
    def modifiers(self) -> Sequence[object]:
        """Keys that are held."""
        ...


class ClickRedirect:
    """Select the layer of the current tool when the canvas is pressed, before napari passes the click on.

    The user selects an image to change its contrast, and the saved objects to change their opacity; neither takes
    clicks.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    tools : ToolBox
        The tools.

    Attributes
    ----------
    is_enabled : bool
        False while another page has the canvas.
    """

    def __init__(self, context: DockContext, tools: ToolBox) -> None:
        self._viewer, self._labels, self._tools = context.viewer, context.labels, tools
        self.is_enabled = True
        self._viewer.mouse_drag_callbacks.append(self._on_pressed)

    def resume(self) -> None:
        """Select the layer of the current tool again, unless another page has the canvas."""
        if self.is_enabled:
            self._tools.resume()

    def close(self) -> None:
        """Leave clicks alone."""
        self.is_enabled = False
        if self._on_pressed in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_pressed)

    def _on_pressed(self, viewer: napari.Viewer, event: MouseEvent) -> None:
        is_click = event.button == 1 and not event.modifiers and viewer.dims.ndisplay == 2
        if is_click and self.is_enabled and self._tools.prompts is not None and self._is_passive():
            self._tools.resume()

    def _is_passive(self) -> bool:
        """Whether the selected layer takes no clicks, or none that the user can want."""
        active, writer = self._viewer.layers.selection.active, self._labels.writer
        if active is None or isinstance(active, ImageLayer):
            return True
        is_of_objects = writer is not None and active in writer.layers
        return is_of_objects and self._tools.current != BRUSH and str(active.mode) == "pan_zoom"
