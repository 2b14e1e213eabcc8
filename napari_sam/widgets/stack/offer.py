"""The answer to what is drawn on a plane of a stack, as something to follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.engine.geometry import Box
from napari_sam.layers.placement import image_plane_shape
from napari_sam.layers.stacks.stack_axes import stack_image
from napari_sam.widgets.stack.unsaved_object import FollowRequest

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_sam.layers.prompt_layers import PromptKeywords
    from napari_sam.widgets.engine_session import Answer

_NEAR = 1.0  # prompts within this many sizes of the object in hand correct it; farther away they mean another one


@dataclass(frozen=True)
class Offer:
    """The answer to what is drawn, which can be followed.

    Attributes
    ----------
    answer : Answer
        The predictions.
    candidates : list of int
        Index of the mask that is chosen of each.
    layer : napari.layers.Image
        Image that was clicked.
    """

    answer: Answer
    candidates: list[int]
    layer: ImageLayer


def requests_of(offer: Offer, axis: str, index: int) -> list[FollowRequest]:
    """Return what to follow, one request per object; raises `ImageError` if the layer cannot be read."""
    plane = offer.answer.plane
    image, count = stack_image(offer.layer, plane, index, axis), image_plane_shape(offer.layer)[index]
    chosen = [
        prediction if candidate == prediction.best else replace(prediction, best=candidate)
        for prediction, candidate in zip(offer.answer.predictions, offer.candidates, strict=True)
    ]
    return [FollowRequest(image, axis, index, plane, count, prediction) for prediction in chosen]


def is_near(prompt: PromptKeywords, box: Box | None) -> bool:
    """Return whether a prompt lies so near the object that it corrects it; other prompts mean another object."""
    if box is None:
        return True
    reach = Box(*box).grow(round(_NEAR * max(box.height, box.width)))
    if "box" in prompt:
        y0, x0, y1, x1 = prompt["box"]
        return reach.overlaps((int(y0), int(x0), int(y1) + 1, int(x1) + 1))
    return any(reach.y0 <= y < reach.y1 and reach.x0 <= x < reach.x1 for y, x in prompt.get("points", ()))
