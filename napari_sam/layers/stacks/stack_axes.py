"""The leading axes of an image layer: depth, time or neither."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.io.images.address import swapped_axes
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.layers.placement import image_plane_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image as ImageLayer

DEPTH, TIME, UNKNOWN = "z", "t", "?"
_USED = "napari_sam_axes"  # metadata key of the axes as the user used them
_SWAPPED = "napari_sam_swapped_axes"  # metadata key of the axes, if the user swapped them
_NAMES = {
    DEPTH: ("z", "depth", "plane", "planes", "slice", "slices"),
    TIME: ("t", "time", "frame", "frames"),
    "c": ("c", "channel", "channels", "s"),
}


def stack_axes(layer: ImageLayer) -> str:
    """Return one letter per leading axis of a layer: "z", "t", "c" for channels, or "?" if it is not known.

    The letters are those of the file, or the layer's axis labels, unless `swap_axes` changed them. Of two unknown axes
    the first is time and the second depth.
    """
    sizes = image_plane_shape(layer)[:-2]
    swapped = layer.metadata.get(_SWAPPED)
    if isinstance(swapped, str) and len(swapped) == len(sizes):
        return swapped
    level = layer.data[0] if layer.multiscale else layer.data
    opened = getattr(level, "image", None)
    labels: Sequence[str] = getattr(layer, "axis_labels", ())
    if isinstance(opened, Image) and len(opened.stack_axes) == len(sizes):
        labels = opened.stack_axes
    axes = "".join(_letter(str(label)) for label in labels[: len(sizes)])
    axes = axes if len(axes) == len(sizes) else UNKNOWN * len(sizes)
    return TIME + DEPTH if axes == UNKNOWN * 2 else axes


def can_swap(layer: ImageLayer) -> bool:
    """Return whether a layer has planes along depth or time whose names may be the wrong way round."""
    several = [axis for axis, n in zip(stack_axes(layer), image_plane_shape(layer), strict=False) if n > 1]
    return UNKNOWN not in several and not {DEPTH, TIME}.isdisjoint(several)


def swap_axes(layer: ImageLayer) -> None:
    """Take depth for time and time for depth from now on, for a layer whose file names them wrongly."""
    layer.metadata[_SWAPPED] = swapped_axes(stack_axes(layer))
    layer.metadata.pop(_USED, None)
    new = {DEPTH: TIME, TIME: DEPTH}  # on the slider of the viewer
    layer.axis_labels = tuple(new.get(_letter(str(label)), label) for label in layer.axis_labels)


def axis_index(layer: ImageLayer, axis: str) -> int | None:
    """Return which leading axis of a layer is depth ("z") or time ("t"), or may be; None without one.

    An axis of one plane does not count.
    """
    axes, sizes = stack_axes(layer), image_plane_shape(layer)[:-2]
    for letter in (axis, UNKNOWN):
        found = [i for i, a in enumerate(axes) if a == letter and sizes[i] > 1]
        if found:
            return found[-1] if axis == DEPTH else found[0]
    return None


def has_axes(layer: ImageLayer) -> tuple[bool, bool]:
    """Return whether a layer has several planes along depth, and along time."""
    return axis_index(layer, DEPTH) is not None, axis_index(layer, TIME) is not None


def stack_image(layer: ImageLayer, plane: Sequence[int] = (), index: int | None = None, axis: str = UNKNOWN) -> Image:
    """Return the image that a layer displays on a plane, with depth called "z" and time "t".

    Without `index` and `axis`, the axes are those of the last call with both, so that a label store made for a movie
    whose axes have no names gets an axis t.

    Parameters
    ----------
    layer : napari.layers.Image
        Layer with leading axes.
    plane : sequence of int
        Index along each of them; missing entries are 0.
    index : int, optional
        Leading axis that is depth or time.
    axis : {"z", "t"}
        Which of both, whatever `stack_axes` tells.

    Raises
    ------
    ImageError
        If the layer is not an image.
    """
    image = image_from_layer(layer, plane)
    letters = list(stack_axes(layer))
    used = layer.metadata.get(_USED)
    if index is not None:
        if axis in letters:
            letters[letters.index(axis)] = letters[index]
        letters[index] = axis
        layer.metadata[_USED] = "".join(letters)
    elif isinstance(used, str) and len(used) == len(letters):
        letters = list(used)
    new = {old: letter for old, letter in zip(image.stack_axes, letters, strict=False) if letter in (DEPTH, TIME)}
    renamed = "".join(new.get(a, a) for a in image.array_axes)
    if renamed == image.array_axes or len(set(renamed)) != len(renamed):
        return image
    placements = {new.get(a, a): placement for a, placement in image.stack_placements.items()}
    return replace(image, array_axes=renamed, stack_placements=placements)


def _letter(label: str) -> str:
    return next((letter for letter, names in _NAMES.items() if label.lower() in names), UNKNOWN)
