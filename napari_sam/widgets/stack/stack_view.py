"""What the dock shows of objects on many planes: the strip, the masks on the visible plane, and the way to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QObject, Signal

from napari_sam.layers.placement import image_plane_shape
from napari_sam.layers.stacks.followed_layer import FollowedLayer
from napari_sam.layers.stacks.stack_axes import DEPTH, TIME, axis_index, can_swap, has_axes
from napari_sam.layers.stacks.volume_preview import show_volume
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.stack.plane_strip import StripContent
from napari_sam.widgets.stack.stack_text import summary_text
from napari_sam.widgets.viewer.canvas_view import show_plane

if TYPE_CHECKING:
    from napari_sam.layers.prompt_layers import MaskCrop, PromptLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.stack.following import Following
    from napari_sam.widgets.stack.stack_panel import StackPanel
    from napari_sam.widgets.stack.unsaved_object import UnsavedObject

_REDRAW_MS = 60


class PromptTools(Protocol):
    """What draws prompts."""

    @property
    def prompts(self) -> PromptLayers | None:
        """Layers that are drawn on; None without an image."""
        ...


class StackView(QObject):
    """Show the objects that are followed.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : StackPanel
        The controls.
    tools : PromptTools
        Tools, with the prompt layers.
    following : Following
        The objects.

    Attributes
    ----------
    axis : str
        "z" or "t", the axis that was followed last.
    clicked : tuple of int or None
        Plane of the answer to what is drawn.
    saved : StripContent
        Planes of the object that was saved last.

    Signals
    -------
    drawn
        The visible plane was drawn again.
    """

    drawn = Signal()

    def __init__(self, context: DockContext, panel: StackPanel, tools: PromptTools, following: Following) -> None:
        super().__init__()
        self._context, self._panel, self._tools, self._following = context, panel, tools, following
        self._images = context.images
        self.axis = DEPTH
        self.clicked: tuple[int, ...] | None = None
        self.saved = StripContent()
        self._layer: FollowedLayer | None = None
        self._is_closed = False
        self._redraw_soon = single_shot(self, _REDRAW_MS, self.redraw)
        panel.strip.plane_chosen.connect(self.go_to)
        following.updated.connect(self._on_updated)
        self._images.plane_changed.connect(self._on_plane_changed)
        self._images.ndisplay_changed.connect(self.redraw_soon)

    # ---- the image --------------------------------------------------------------------------------------------

    def index_of(self, axis: str) -> int | None:
        """Return which leading axis of the image is depth or time; None without one."""
        layer = self._images.layer
        return None if layer is None else axis_index(layer, axis)

    @property
    def axes(self) -> tuple[bool, bool]:
        """Whether the image has depth, and whether it has time, to follow objects along."""
        layer = self._images.layer
        return (False, False) if layer is None else has_axes(layer)

    def begin(self) -> None:
        """Start with another image."""
        self.clicked, self.saved = None, StripContent()
        self._remove_layer()
        self.axis = DEPTH if self.axes[0] else TIME
        self._mark_plane()

    # ---- planes -----------------------------------------------------------------------------------------------

    @property
    def shown(self) -> UnsavedObject | None:
        """The object whose planes the strip shows."""
        following = self._following
        return following.in_hand or following.preview or next(iter(following.running), None)

    @property
    def content(self) -> StripContent:
        """What the strip shows: of the object at hand, or of the one that was saved last."""
        shown = self.shown
        if shown is not None:
            return shown.content
        layer, index = self._images.layer, self.index_of(self.axis)
        count = 0 if layer is None or index is None else image_plane_shape(layer)[index]
        return self.saved if self.saved.count == count else StripContent(count)

    def go_to(self, plane: int) -> None:
        """Show a plane of the strip."""
        layer, shown = self._images.layer, self.shown
        index = self.index_of(self.axis) if shown is None else shown.request.index
        if layer is None or index is None:
            return
        current = self._images.quiet_plane or (0,) * len(image_plane_shape(layer)[:-2])
        leading = (*current[:index], plane, *current[index + 1 :]) if shown is None else shown.request.leading(plane)
        show_plane(self._context.viewer, layer, leading)

    def mask_on(self, followed: UnsavedObject, plane: tuple[int, ...]) -> MaskCrop | None:
        """Return mask and box of an object on a plane of the image; None if it is not there."""
        position = followed.request.along(plane)
        return None if position is None else followed.mask(position)

    # ---- drawing ----------------------------------------------------------------------------------------------

    def redraw_soon(self) -> None:
        """Draw once the current burst of changes is over."""
        if not self._is_closed and not self._redraw_soon.isActive():
            self._redraw_soon.start()

    def redraw(self) -> None:
        """Show the object in hand, or the preview of the last click, and outline the others."""
        plane, prompts, following = self._images.quiet_plane, self._tools.prompts, self._following
        if plane is not None and prompts is not None:
            if following.in_hand is not None:
                mask = self.mask_on(following.in_hand, plane)
                prompts.show([] if mask is None else [mask], plane)
            elif following.preview is not None and self.clicked != plane:
                mask = self.mask_on(following.preview, plane)
                prompts.show([] if mask is None else [mask], plane, outline=True)
            self._show_others(plane)
        elif prompts is not None and not self._images.is_flat:
            shown = following.in_hand or following.preview
            if shown is not None:
                request = shown.request
                show_volume(prompts.preview, prompts.image, shown.masks, request.plane, request.index)
        self.drawn.emit()

    def refresh(self) -> None:
        """Show the state in the panel."""
        panel, content, following, layer = self._panel, self.content, self._following, self._images.layer
        panel.show_axes(*self.axes, can_swap=layer is not None and can_swap(layer))
        panel.show_content(content, self._summary(content))
        panel.show_waiting(len(following.waiting), in_hand=following.in_hand is not None)
        running = following.running
        if not running:
            panel.show_progress(None, 0, 0)
            return
        first, more = running[0], f", {len(running) - 1} more" if len(running) > 1 else ""
        panel.show_progress(f"on {len(first.scores)} {first.request.noun}s so far{more}", *first.progress)

    def close(self) -> None:
        """Remove the layer."""
        self._is_closed = True
        self._redraw_soon.stop()
        self._remove_layer()

    def _summary(self, content: StripContent) -> str:
        in_hand = self._following.in_hand
        if in_hand is not None and in_hand.result is not None:
            return summary_text(content, in_hand.name, in_hand.result.stopped)
        if self.shown is None:
            return summary_text(content, "Last object") if content.scores else ""
        return summary_text(content, "Preview" if self.shown is self._following.preview else "Object")

    def _show_others(self, plane: tuple[int, ...]) -> None:
        """Outline the followed objects that are not in hand."""
        others = [x for x in self._following.objects if x is not self._following.in_hand]
        image, viewer = self._images.layer, self._context.viewer
        if self._layer is not None and self._layer.layer not in viewer.layers:
            self._layer = None  # the user removed it
        if not others:
            self._remove_layer()
        elif image is not None:
            if self._layer is None:
                with self._context.layer_list.own_change():
                    self._layer = FollowedLayer(viewer, image)
                self._context.keys.add_layer(self._layer.layer)
            masks = [self.mask_on(x, plane) for x in others]
            self._layer.show([mask for mask in masks if mask is not None], plane)

    def _remove_layer(self) -> None:
        if self._layer is not None:
            self._context.layer_list.remove([self._layer.layer])
            self._layer = None

    def _on_updated(self, followed: UnsavedObject) -> None:
        self.redraw_soon()

    def _on_plane_changed(self) -> None:
        self._mark_plane()
        self.redraw_soon()

    def _mark_plane(self) -> None:
        plane, shown = self._images.quiet_plane, self.shown
        index = self.index_of(self.axis) if shown is None else shown.request.index
        if plane is not None and index is not None:
            self._panel.strip.set_current(plane[index])
