"""The rectangle that the user draws to choose a part of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

from napari_sam.engine.geometry import Box
from napari_sam.layers.placement import placement
from napari_sam.layers.prompt_layers import SHAPES_NAME, shape_prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer

REGION_NAME = "SAM region"


def region_layer(viewer: ViewerModel, image: ImageLayer) -> Shapes:
    """Select the layer for the rectangle, ready to draw on; add it if it does not exist."""
    layer = next((x for x in viewer.layers if isinstance(x, Shapes) and x.name == REGION_NAME), None)
    if layer is None:
        layer = Shapes(
            ndim=image.ndim,
            name=REGION_NAME,
            edge_color="#fb923c",
            face_color="#00000000",
            edge_width=3,
            **placement(image),
        )
        viewer.add_layer(layer)
    viewer.layers.selection.active = layer
    layer.mode = "add_rectangle"
    return layer


def drawn_box(viewer: ViewerModel, image: ImageLayer, image_shape: tuple[int, int]) -> Box | None:
    """Return the box of the rectangle that the user drew or selected, in whole level-0 pixels; None without one.

    The shape selected on the active layer comes first, then the last shape on the layer of `region_layer`, then a
    shape selected on another layer.
    """
    shapes = [x for x in viewer.layers if isinstance(x, Shapes)]
    active = viewer.layers.selection.active
    order = [x for x in shapes if x is active] + [x for x in shapes if x.name == REGION_NAME] + shapes
    for layer in order:
        selected = sorted(layer.selected_data)
        if not selected and layer.name == REGION_NAME and len(layer.data):
            selected = [len(layer.data) - 1]
        if not selected or (layer.name == SHAPES_NAME and layer is not active):
            continue
        vertices = [image.world_to_data(layer.data_to_world(v)) for v in layer.data[selected[-1]]]
        prompt = shape_prompt(np.array(vertices, dtype=float)[:, -2:], "rectangle", image_shape)
        if prompt is not None:
            y0, x0, y1, x1 = prompt["box"]
            return Box(int(np.floor(y0)), int(np.floor(x0)), int(np.ceil(y1)), int(np.ceil(x1)))
    return None
