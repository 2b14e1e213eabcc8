"""What the window shows of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import napari
    from napari.layers import Image as ImageLayer


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
