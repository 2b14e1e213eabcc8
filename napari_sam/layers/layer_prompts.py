"""Objects of labels, shapes and points layers of other programs, as prompts for an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from napari.layers import Labels, Points, Shapes

from napari_sam.errors import PromptError
from napari_sam.io.prompts.check_prompts import check_prompts
from napari_sam.io.prompts.prompt_rows import BOX, POINT, PromptRows
from napari_sam.io.read_prompts import read_prompts
from napari_sam.layers.placement import TEMPORARY, data_to_image, image_plane_shape
from napari_sam.layers.prompt_layers import POINTS_NAME, SHAPES_NAME, shape_box, shape_mask
from napari_sam.layers.region_layer import REGION_NAME

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from napari.components import LayerList
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.prompts.prompt_table import PromptTable

_OWN_NAMES = (POINTS_NAME, SHAPES_NAME, REGION_NAME)
_CLASS_COLUMNS = ("category", "class", "classification")
_LARGEST_RESAMPLED_PX = 1 << 27  # labels that lie elsewhere than the image are resampled in memory
_SAME_PLACE_PX = 1e-3


class PromptSource(Protocol):
    """Where prompts are read from; `read` may run in any thread."""

    def read(self, image: Image, *, masks: bool) -> PromptTable:
        """Return the prompts, with the objects' pixels if `masks` is set and the source has them."""
        ...


@dataclass(frozen=True)
class FilePrompts:
    """Objects of a file.

    Attributes
    ----------
    path : Path
        The file, in any format of `read_prompts`.
    """

    path: Path

    def read(self, image: Image, *, masks: bool) -> PromptTable:
        """Return the prompts; those outside the image are left out and counted."""
        return read_prompts(self.path, image, masks=None if masks else False, errors="skip")


@dataclass(frozen=True)
class LabelsPrompts:
    """Objects of a labels layer.

    Attributes
    ----------
    pixels : array
        Labels of the plane, or of all planes of the image, in the image's pixels.
    """

    pixels: NDArray[np.integer]

    def read(self, image: Image, *, masks: bool) -> PromptTable:
        """Return the boxes of the objects on the image's plane."""
        return read_prompts(self.pixels, image, masks=masks, errors="skip")


@dataclass(frozen=True)
class DrawnObjects:
    """Objects of a shapes or points layer.

    Attributes
    ----------
    name : str
        Name of the layer.
    vertices : list of ndarray of float
        (V, 2) of each shape on the plane, in level-0 pixels of the image; one vertex for a point.
    kinds : list of str
        Type of each shape, as napari calls it; "point" for a point.
    numbers : ndarray of int
        Index of each on its layer.
    categories : list of str or None
        Class of each.
    """

    name: str
    vertices: list[NDArray[np.float64]]
    kinds: list[str]
    numbers: NDArray[np.int64]
    categories: list[str | None]

    def read(self, image: Image, *, masks: bool) -> PromptTable:
        """Return the prompts; lines and what lies outside the image are left out and counted."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        categories = pd.Series(self.categories, dtype=object)
        if all(kind == "point" for kind in self.kinds):
            points = np.array([v[0] for v in self.vertices]).reshape(-1, 2)
            frame = pd.DataFrame(points, columns=list(POINT)).assign(category=categories)
            rows = PromptRows(frame, self.name, "point", self.numbers)
            return check_prompts(rows, image.shape, skip=True, masks=False)
        boxes = [shape_box(yx, kind, image.shape) for yx, kind in zip(self.vertices, self.kinds, strict=True)]
        frame = pd.DataFrame([box or (0, 0, 1, 1) for box in boxes], columns=list(BOX)).assign(category=categories)
        problems = ["the shape has no area inside the image" if box is None else None for box in boxes]
        frame = frame.assign(problem=pd.Series(problems, dtype=object))

        def mask(i: int) -> MaskPrompt | None:
            box = boxes[i]
            return None if box is None else shape_mask(self.vertices[i], self.kinds[i], box)

        rows = PromptRows(frame, self.name, "shape", self.numbers, mask)
        return check_prompts(rows, image.shape, skip=True, masks=masks)


def layers_with_objects(layers: LayerList, excluded: Collection[Layer] = ()) -> list[Labels | Shapes | Points]:
    """Return the layers whose objects can be prompts, without the plugin's own and those of `excluded`."""
    return [
        layer
        for layer in layers
        if isinstance(layer, Labels | Shapes | Points)
        and TEMPORARY not in layer.metadata
        and layer.name not in _OWN_NAMES
        and not any(layer is other for other in excluded)
    ]


def prompts_of_layer(
    layer: Labels | Shapes | Points, image: ImageLayer, plane: tuple[int, ...]
) -> LabelsPrompts | DrawnObjects:
    """Return the objects of a layer on a plane of an image, ready to be read by any thread.

    Raises
    ------
    PromptError
        If the layer has no objects there, or cannot be placed on the image.
    """
    if isinstance(layer, Labels):
        return LabelsPrompts(labels_on_image(layer, image, plane))
    drawn = _drawn_objects(layer, image, plane)
    if not drawn.vertices:
        where = "on the plane that is shown" if len(layer.data) else "yet"
        raise PromptError(f"layer {layer.name!r} has no objects {where}", remedy="draw some, or choose another layer")
    return drawn


def labels_on_image(layer: Labels, image: ImageLayer, plane: tuple[int, ...]) -> NDArray[np.integer]:
    """Return a plane of a labels layer in the pixels of an image: as it is, or resampled if it lies elsewhere.

    Raises
    ------
    PromptError
        If the layer has more axes than the image, or has to be resampled and the image is too large for it.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim > image.ndim:
        raise PromptError(
            f"labels layer {layer.name!r} has {layer.ndim} axes, and the image {image.ndim}",
            remedy="split the labels into a layer with the axes of the image",
        )
    shape = image_plane_shape(image)
    linear, offset = _image_to_layer(layer, image, plane)
    leading = np.round(offset[:-2]).astype(int)
    if (leading < 0).any() or (leading >= data.shape[: layer.ndim - 2]).any():
        raise PromptError(
            f"labels layer {layer.name!r} has no plane where the image is shown",
            remedy="move to a plane that both have, or choose another layer",
        )
    moved = np.abs(linear - np.eye(2)).max() * max(shape[-2:]) + np.abs(offset[-2:]).max()
    if moved < _SAME_PLACE_PX and data.shape[-2:] == shape[-2:]:
        pixels: NDArray[np.integer] = data[tuple(leading)] if len(leading) else data
        return pixels
    if shape[-2] * shape[-1] > _LARGEST_RESAMPLED_PX:
        raise PromptError(
            f"labels layer {layer.name!r} of shape {data.shape} does not lie on the image's pixels of shape {shape}",
            remedy="give labels of the image's shape, scale and translation",
        )
    from scipy.ndimage import affine_transform  # noqa: PLC0415 - slow to import

    part = np.asarray(data[tuple(leading)] if len(leading) else data)
    resampled: NDArray[np.integer] = affine_transform(part, linear, offset[-2:], tuple(shape[-2:]), order=0)
    return resampled


def _image_to_layer(
    layer: Labels, image: ImageLayer, plane: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix (2, 2) and offset that turn (y, x) of an image's plane into coordinates of a layer."""

    def convert(y: float, x: float) -> NDArray[np.float64]:
        return np.asarray(layer.world_to_data(image.data_to_world((*plane, y, x))), dtype=float)

    zero = convert(0, 0)
    return np.stack([convert(1, 0) - zero, convert(0, 1) - zero], axis=1)[-2:], zero


def _drawn_objects(layer: Shapes | Points, image: ImageLayer, plane: tuple[int, ...]) -> DrawnObjects:
    """Return the shapes or points that lie on a plane."""
    is_points = isinstance(layer, Points)
    data = [np.atleast_2d(np.asarray(part, dtype=float)) for part in layer.data]
    kinds = ["point"] * len(data) if is_points else [str(kind) for kind in layer.shape_type]
    drawn = DrawnObjects(layer.name, data, kinds, np.arange(len(data)), _classes(layer))
    if not data:
        return drawn
    placed = data_to_image(layer, image, np.concatenate(data))
    on_plane = np.ones(len(placed), bool)
    if layer.ndim == image.ndim and plane:
        on_plane = (np.round(placed[:, :-2]) == np.array(plane)).all(axis=1)
    ends = np.cumsum([len(part) for part in data])
    kept = [i for i, part in enumerate(np.split(on_plane, ends[:-1])) if part.all()]
    yx = np.split(placed[:, -2:], ends[:-1])
    return replace(
        drawn,
        vertices=[yx[i] for i in kept],
        kinds=[kinds[i] for i in kept],
        numbers=np.array(kept, np.int64),
        categories=[drawn.categories[i] for i in kept],
    )


def _classes(layer: Shapes | Points) -> list[str | None]:
    """Return the class of each object, from a column of the layer's features."""
    table = layer.features
    column = next((name for name in table.columns if str(name).lower() in _CLASS_COLUMNS), None)
    if column is None:
        return [None] * len(layer.data)
    return [str(value) if value is not None and value == value and str(value) else None for value in table[column]]
