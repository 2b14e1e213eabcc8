"""A rectangle that the user draws to say where to look for objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

from napari_sam.engine.geometry import Box
from napari_sam.layers.prompt_layers import SHAPES_NAME, placement, shape_prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer


REGION_NAME = "SAM region"


def region_layer(viewer: ViewerModel, image: ImageLayer) -> Shapes:
    """The layer to draw the rectangle on, in hand; it is made if there is none."""
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
    """(y0, x0, y1, x1) of the rectangle that is meant, whole level-0 pixels; None if none is drawn.

    It is the one selected on the active layer, else the last of the layer of `region_layer`, else one that is selected
    on another layer of shapes.
    """
    ours = [x for x in viewer.layers if isinstance(x, Shapes)]
    active = viewer.layers.selection.active
    order = [x for x in ours if x is active] + [x for x in ours if x.name == REGION_NAME] + ours
    for layer in order:
        chosen = sorted(layer.selected_data)
        if not chosen and layer.name == REGION_NAME and len(layer.data):
            chosen = [len(layer.data) - 1]
        if not chosen or (layer.name == SHAPES_NAME and layer is not active):
            continue
        vertices = [image.world_to_data(layer.data_to_world(v)) for v in layer.data[chosen[-1]]]
        found = shape_prompt(np.array(vertices, dtype=float)[:, -2:], "rectangle", image_shape)
        if found is not None:
            y0, x0, y1, x1 = found["box"]
            return Box(int(np.floor(y0)), int(np.floor(x0)), int(np.ceil(y1)), int(np.ceil(x1)))
    return None
