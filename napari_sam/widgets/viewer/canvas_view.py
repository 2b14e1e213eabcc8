"""The part of an image that the viewer shows, and the camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    import napari
    from napari.components import Camera
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

_VIEW_PER_OBJECT = 3.0  # the view is this many times as high or wide as the object
_VIEW_PER_IMAGE = 1.05
_LEAST_PX = 96  # and at least this many image pixels, for context around a speck


def visible_box(image: ImageLayer) -> Box:
    """Return (y0, x0, y1, x1) of the visible part of an image, in level-0 pixels."""
    corners = image.corner_pixels[:, -2:]
    if image.multiscale:
        corners = corners * np.asarray(image.downsample_factors[image.data_level])[-2:]
    (y0, x0), (y1, x1) = corners.astype(int).tolist()
    return Box(y0, x0, y1, x1)


def cursor_position(viewer: napari.Viewer, image: ImageLayer) -> tuple[float, float]:
    """Return (y, x) of the mouse cursor, in level-0 pixels of an image."""
    y, x = image.world_to_data(viewer.cursor.position)[-2:]
    return float(y), float(x)


def camera(viewer: napari.Viewer) -> Camera:
    """Return the 2-D camera, which napari 0.9 moved."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def canvas_size(viewer: napari.Viewer) -> tuple[float, float]:
    """Return height and width of the canvas on the screen, which napari 0.9 moved."""
    size = viewer.canvas.size if hasattr(viewer, "canvas") else viewer._canvas_size
    return float(size[0]), float(size[1])


def zoom_to(viewer: napari.Viewer, image: ImageLayer, plane: tuple[int, ...], box: tuple[int, int, int, int]) -> None:
    """Move the camera so that a box fills about a third of the canvas; tiny boxes stay smaller.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer whose camera moves.
    image : napari.layers.Image
        Image in whose level-0 pixels the box is given.
    plane : tuple of int
        Index along the leading axes, to which the sliders move.
    box : (int, int, int, int)
        (y0, x0, y1, x1).
    """
    y0, x0, y1, x1 = box
    corners = [image.data_to_world((*plane, y, x)) for y, x in ((y0, x0), (y0, x1), (y1, x0), (y1, x1))]
    world = np.array(corners)
    show_plane(viewer, image, plane)
    low, high = world[:, -2:].min(0), world[:, -2:].max(0)
    least = _LEAST_PX * float(np.abs(np.asarray(image.scale)[-2:]).max())
    _look_at(viewer, (low + high) / 2, np.maximum((high - low) * _VIEW_PER_OBJECT, least))


def zoom_to_image(viewer: napari.Viewer, image: ImageLayer) -> None:
    """Move the camera so that a whole image fills the canvas, whatever other layers there are."""
    low, high = np.asarray(image.extent.world, dtype=float)[:, -2:]
    pixel = np.abs(np.asarray(image.scale, dtype=float)[-2:])  # the extent ends at the centres of the outer pixels
    _look_at(viewer, (low + high) / 2, (high - low + pixel) * _VIEW_PER_IMAGE)


def _look_at(viewer: napari.Viewer, centre: NDArray[np.float64], spans: NDArray[np.float64]) -> None:
    """Move the camera so that the canvas shows at least these spans (y, x) of world coordinates around a point."""
    moved = camera(viewer)
    moved.center = (*tuple(moved.center)[:-2], *centre.tolist())
    moved.zoom = float((np.asarray(canvas_size(viewer)) / spans).min())


def show_plane(viewer: napari.Viewer, image: ImageLayer, plane: tuple[int, ...]) -> None:
    """Move the sliders to a plane of an image, given by its index along the leading axes."""
    if plane:
        world = np.asarray(image.data_to_world((*plane, 0, 0)), dtype=float)
        leading = viewer.dims.ndim - 2
        viewer.dims.set_point(range(leading - len(plane), leading), world[: len(plane)].tolist())


def focus_canvas() -> None:
    """Take the keyboard focus from the widget that has it, so that keys reach the canvas.

    A button or tab that the user reached by Tab keeps it: it passes on the keys that it does not use.
    """
    focused = QApplication.focusWidget()
    if focused is not None and focused.focusPolicy() != Qt.FocusPolicy.TabFocus:
        focused.clearFocus()  # the main window then passes keys on to the canvas
