"""What the window shows of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    import napari
    from napari.layers import Image as ImageLayer


_TIMES = 3.0  # the window shows this many times the object's height or width
_LEAST_PX = 96  # and at least so many image pixels, for something to compare a speck with


def visible_box(image: ImageLayer) -> tuple[int, int, int, int]:
    """(y0, x0, y1, x1) of what the window shows of an image, level-0 pixels."""
    corners = image.corner_pixels[:, -2:]
    if image.multiscale:
        corners = corners * np.asarray(image.downsample_factors[image.data_level])[-2:]
    (y0, x0), (y1, x1) = corners.astype(int).tolist()
    return y0, x0, y1, x1


def under_mouse(viewer: napari.Viewer, image: ImageLayer) -> tuple[float, float]:
    """(y, x) under the mouse, level-0 pixels."""
    y, x = image.world_to_data(viewer.cursor.position)[-2:]
    return float(y), float(x)


def camera(viewer: napari.Viewer) -> Any:
    """The 2-D camera, which napari 0.9 has moved."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def look_at(viewer: napari.Viewer, image: ImageLayer, plane: tuple[int, ...], box: tuple[int, int, int, int]) -> None:
    """Move the camera so that a box fills about a third of the window; tiny ones stay small.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    image : napari.layers.Image
        In whose level-0 pixels the box is given.
    plane : tuple of int
        Index along the leading axes; the sliders move there.
    box : (int, int, int, int)
        (y0, x0, y1, x1).
    """
    y0, x0, y1, x1 = box
    corners = [image.data_to_world((*plane, y, x)) for y, x in ((y0, x0), (y0, x1), (y1, x0), (y1, x1))]
    world = np.array(corners)
    if plane:
        leading = viewer.dims.ndim - 2
        viewer.dims.set_point(range(leading - len(plane), leading), world[0][: len(plane)].tolist())
    low, high = world[:, -2:].min(0), world[:, -2:].max(0)
    least = _LEAST_PX * float(np.abs(np.asarray(image.scale)[-2:]).max())
    spans = np.maximum((high - low) * _TIMES, least)
    moved = camera(viewer)
    centre = (low + high) / 2
    moved.center = (*tuple(moved.center)[:-2], *centre.tolist())
    moved.zoom = float((np.asarray(canvas_size(viewer)) / spans).min())


def canvas_size(viewer: napari.Viewer) -> tuple[float, float]:
    """Height and width of the canvas on the screen, which napari 0.9 has moved."""
    size = viewer.canvas.size if hasattr(viewer, "canvas") else viewer._canvas_size
    return float(size[0]), float(size[1])


def focus_canvas() -> None:
    """Let keys go to the image, not to a box that was clicked before."""
    focused = QApplication.focusWidget()
    if focused is not None:
        focused.clearFocus()  # the main window then hands keys to the canvas
