"""Clicks on the canvas reach the prompts while an image or the objects are selected in the layer list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari.layers import Image as ImageLayer

from napari_sam.widgets.toolbox import BRUSH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import napari

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.toolbox import ToolBox

IN_3D = "Objects are clicked in 2D: press Ctrl+Y, or the button below the layer list, then click the object on a plane."


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

    @property
    def type(self) -> str:
        """Kind of the event, such as "mouse_move"."""
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
        self._notifier = context.notifier
        self.is_enabled = True
        self._callbacks = (self._on_pressed, self._on_pressed_in_3d)
        self._viewer.mouse_drag_callbacks.extend(self._callbacks)

    def resume(self) -> None:
        """Select the layer of the current tool again, unless another page has the canvas."""
        if self.is_enabled:
            self._tools.resume()

    def select_points(self) -> None:
        """Choose the tool for object points, unless another page has the canvas."""
        if self.is_enabled:
            self._tools.use_foreground()

    def close(self) -> None:
        """Leave clicks alone."""
        self.is_enabled = False
        for callback in self._callbacks:
            if callback in self._viewer.mouse_drag_callbacks:
                self._viewer.mouse_drag_callbacks.remove(callback)

    def _on_pressed(self, viewer: napari.Viewer, event: MouseEvent) -> None:
        is_click = event.button == 1 and not event.modifiers and viewer.dims.ndisplay == 2
        if is_click and self.is_enabled and self._tools.prompts is not None and self._is_passive():
            self._tools.resume()

    def _on_pressed_in_3d(self, viewer: napari.Viewer, event: MouseEvent) -> Iterator[None]:
        """Explain, after a click without a drag in the 3-D view, why nothing was segmented; a drag turns the view."""
        is_click = event.button == 1 and not event.modifiers and viewer.dims.ndisplay == 3
        yield
        while event.type == "mouse_move":
            is_click = False
            yield
        if is_click and self.is_enabled and self._tools.prompts is not None:
            self._notifier.info(IN_3D)

    def _is_passive(self) -> bool:
        """Whether the selected layer takes no clicks, or none that the user can want."""
        active, writer = self._viewer.layers.selection.active, self._labels.writer
        if active is None or isinstance(active, ImageLayer):
            return True
        is_of_objects = writer is not None and active in writer.layers
        return is_of_objects and self._tools.current != BRUSH and str(active.mode) == "pan_zoom"
