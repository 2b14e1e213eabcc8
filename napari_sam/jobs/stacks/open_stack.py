"""Open a volume or a movie, and choose the axis that is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.errors import ImageError
from napari_sam.io.images.address import axes_by_shape, swapped_axes
from napari_sam.io.images.image_stack import ImageStack
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image

if TYPE_CHECKING:
    from collections.abc import Sequence

_OTHER = {
    "z": ("t", "follow a movie with {napari_sam.track}"),
    "t": ("z", "segment a volume with {napari_sam.segment_volume}"),
}
_COLOURS = 4  # most channels of an array that is not named


def open_stack(source: Any, axis: str) -> ImageStack:
    """Open a stack along an axis.

    Parameters
    ----------
    source
        Whatever `open_image` accepts. An array of three axes, or of four of which the last are at most four channels,
        is taken for planes along `axis`.
    axis : str
        Name of the axis, "z" or "t". If the image has planes along a single other axis, whose name is neither, that is
        followed.

    Returns
    -------
    ImageStack

    Raises
    ------
    ImageError
        If it cannot be opened, has a single plane and no such axis, or planes along t instead of z or the reverse.
    """
    image = source if isinstance(source, Image) else open_image(source, axes=_axes_of_array(source, axis))
    sizes = image.plane_axes
    if axis in sizes:
        return ImageStack(image, axis)
    several = [name for name, count in sizes.items() if count > 1]
    if len(several) == 1 and several[0] not in _OTHER:
        return ImageStack(image, several[0])
    if not several:
        raise ImageError(
            f"{image.name}: one plane, no stack along {axis}",
            parameter="axis",
            remedy="give a stack, or segment one image with {napari_sam.segment_everything}",
        )
    other, words = _OTHER.get(axis, ("", ""))
    if several == [other]:
        raise ImageError(
            f"{image.name}: its {sizes[other]} planes lie along {other}, not along {axis}",
            parameter="axis",
            remedy=f"{words}; or, if the file names its axes wrongly, give {{axes={swapped_axes(image.array_axes)}}}",
        )
    return ImageStack(image, axis)  # whose error lists the axes


def choose_planes(stack: ImageStack, planes: Sequence[int] | None) -> list[int]:
    """Return the planes to segment, ascending and each once.

    Raises
    ------
    ImageError
        If there is no such plane, or none is given.
    """
    if planes is None:
        return list(range(stack.count))
    chosen = sorted({int(plane) for plane in planes})
    if not chosen or chosen[0] < 0 or chosen[-1] >= stack.count:
        raise ImageError(
            f"planes is {planes!r}; {stack.image.name} has planes 0 to {stack.count - 1} along {stack.axis}",
            parameter="planes",
            remedy="choose among them, such as range(10, 50)",
        )
    return chosen


def _axes_of_array(source: Any, axis: str) -> str | None:
    """Return the axes of an array of planes; None for anything else, and for a picture with channels."""
    shape = getattr(source, "shape", None)
    if isinstance(source, str) or shape is None or not hasattr(source, "dtype") or hasattr(source, "multiscale"):
        return None
    if len(shape) == 3 and axes_by_shape(shape) != "yxc":
        return f"{axis}yx"
    return f"{axis}yxc" if len(shape) == 4 and shape[-1] <= _COLOURS else None
