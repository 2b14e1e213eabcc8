"""Saved objects of a stack: the one under the mouse, and how to open it for corrections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.propagation import StackPosition
from napari_sam.layers.placement import image_plane_shape
from napari_sam.layers.stacks.saved_propagation import axis_of, saved_propagation
from napari_sam.layers.stacks.stack_axes import DEPTH, TIME, axis_index, stack_axes, stack_image
from napari_sam.widgets.stack.unsaved_object import FollowRequest
from napari_sam.widgets.viewer.canvas_view import cursor_position

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.engine.propagation.propagation import Propagation
    from napari_sam.widgets.dock_context import DockContext


@dataclass(frozen=True)
class SavedObject:
    """A saved object, and how to read it.

    Attributes
    ----------
    label : int
        Its id.
    request : FollowRequest
        Where it lies.
    read : callable
        Returns its masks; takes a function that returns True to stop.
    """

    label: int
    request: FollowRequest
    read: Callable[[Callable[[], bool]], Propagation]


def label_under_mouse(context: DockContext) -> int:
    """Return the id of the saved object under the mouse; 0 if there is none."""
    image, plane, writer = context.images.layer, context.images.quiet_plane, context.labels.writer
    if image is None or plane is None or writer is None:
        return 0
    y, x = (round(v) for v in cursor_position(context.viewer, image))
    pixel = Box(y, x, y + 1, x + 1).clip(writer.plane_shape)
    return 0 if pixel.is_empty else int(writer.labels_in(pixel, plane)[0, 0])


def saved_object(context: DockContext, label: int, axis: str) -> SavedObject | None:
    """Return an object of the label store in use; None without a store or a stack.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    label : int
        Id of the object.
    axis : str
        "z" or "t": axis of an object on a single plane, and of axes that are not known.

    Raises
    ------
    ImageError
        If the image cannot be read.
    StoreError
        If the store cannot be read.
    """
    layer, plane, store_layers = context.images.layer, context.images.quiet_plane, context.labels.store_layers
    default = None if layer is None else axis_index(layer, axis)
    if layer is None or plane is None or store_layers is None or default is None:
        return None
    store = store_layers.store
    index = axis_of(store.journal.objects.planes_of(label), default)
    known = stack_axes(layer)[index]
    letter = known if known in (DEPTH, TIME) else axis
    image, count = stack_image(layer, plane, index, letter), image_plane_shape(layer)[index]
    position = StackPosition(letter, count, image.shape, plane, index)
    return SavedObject(
        label,
        FollowRequest(image, letter, index, plane, count, None),
        partial(saved_propagation, store, label, position),
    )
