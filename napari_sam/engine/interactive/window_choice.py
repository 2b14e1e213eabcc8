"""Choose the window that answers a prompt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.windows import CONTEXT, Hints, Window, whole_window, window_around

if TYPE_CHECKING:
    from napari_sam.engine.interactive.prompts import Prompt


def choose_window(prompt: Prompt, image_shape: tuple[int, int], img_size: int, hints: Hints) -> Window:
    """Return the window that shows a prompt and its object with context around it.

    An image no larger than the network's input is always seen whole. Otherwise the size comes from the prompt's own
    extent, the user's diameter, the view, or the last accepted object, in this order.

    Parameters
    ----------
    prompt : Prompt
        The prompt.
    image_shape : (int, int)
        Height and width of level 0.
    img_size : int
        Side of the network's input.
    hints : Hints
        Knowledge about the object's size.

    Returns
    -------
    Window
    """
    if max(image_shape) <= img_size:
        return whole_window(image_shape, img_size)
    if prompt.window is not None and prompt.window.holds(prompt.extent):
        return prompt.window
    side = _least_side(prompt, img_size, hints)
    extent = prompt.extent
    earlier = _earlier_extent(prompt)
    if earlier is not None:  # the earlier mask belongs to the prompt
        extent = (
            min(extent[0], earlier[0]),
            min(extent[1], earlier[1]),
            max(extent[2], earlier[2]),
            max(extent[3], earlier[3]),
        )
        side = max(side, CONTEXT * max(earlier[2] - earlier[0], earlier[3] - earlier[1]))
    return window_around(extent, side, image_shape, img_size)


def _earlier_extent(prompt: Prompt) -> tuple[float, float, float, float] | None:
    """Return (y0, x0, y1, x1) of an earlier prediction's mask, level-0 pixels; None without one."""
    if prompt.logits is None or prompt.window is None:
        return None
    window, cell = prompt.window, prompt.window.img_size / prompt.logits.shape[-1]
    spans = []
    for axis in (0, 1):
        used = math.ceil(window.network_shape[axis] / cell)
        hits = np.flatnonzero(np.atleast_1d(np.any(prompt.logits > 0, axis=1 - axis))[:used])
        if not len(hits):
            return None
        low, high = (n * cell / window.scale[axis] + window.bbox[axis] for n in (hits[0], hits[-1] + 1))
        spans.append((low, min(high, float(window.bbox[axis + 2]))))
    (y0, y1), (x0, x1) = spans
    return y0, x0, y1, x1


def _least_side(prompt: Prompt, img_size: int, hints: Hints) -> float:
    """Return the smallest side of a window that suits the object's presumed size, level-0 pixels."""
    least = CONTEXT * prompt.object_px
    if prompt.box is not None or prompt.mask is not None:
        return least
    return hints.window_side(img_size, least)  # an object is at least as large as the spread of its points
