"""Geometry of image layers: their planes, and layers that lie exactly on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

TEMPORARY = "napari_sam_temporary"
"""Metadata key of labels layers that only show something and cannot be written to."""


def image_plane_shape(image: ImageLayer) -> tuple[int, ...]:
    """Return the level-0 shape of an image layer's data, without the colour axis."""
    data = image.data[0] if image.multiscale else image.data
    shape = tuple(int(n) for n in data.shape)
    return shape[:-1] if image.rgb else shape


def current_plane(viewer: ViewerModel, image: ImageLayer) -> tuple[int, ...]:
    """Return the index of the visible plane along each leading axis of a layer.

    Raises
    ------
    ImageError
        If the viewer shows other axes than the layer's last two.
    """
    displayed = tuple(viewer.dims.displayed)
    if viewer.dims.ndisplay != 2 or displayed != (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
        raise ImageError(
            f"the viewer shows axes {displayed}", remedy="switch to 2D and show y and x, the last two axes"
        )
    point = image.world_to_data(viewer.dims.point)
    leading = image_plane_shape(image)[:-2]
    return tuple(int(np.clip(round(point[axis]), 0, size - 1)) for axis, size in enumerate(leading))


def placement(image: ImageLayer) -> dict[str, object]:
    """Return the transform keywords that put a new layer exactly on an image layer."""
    return {
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
    }


def set_changed(layer: Layer, values: Mapping[str, object]) -> None:
    """Set those attributes of a layer that have other values: napari draws the layer again with each that is set."""
    for name, value in values.items():
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)


def translate_to(image: ImageLayer, origin: Sequence[float]) -> NDArray[np.float64]:
    """Return the translation of a crop that starts at `origin` of the image's data."""
    zero = np.array(image.data_to_world([0.0] * len(origin)))
    moved = np.array(image.data_to_world(list(origin))) - zero
    linear = np.linalg.inv(image.affine.linear_matrix)
    translation: NDArray[np.float64] = np.asarray(image.translate) + linear @ moved
    return translation


def data_to_image(layer: Layer, image: ImageLayer, data: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert coordinates of a layer's data into those of an image's data.

    Parameters
    ----------
    layer : napari.layers.Layer
        Layer of the coordinates; one with fewer axes than the image lies on its last axes.
    image : napari.layers.Image
        The image.
    data : ndarray of float
        (n, axes of the layer).

    Returns
    -------
    ndarray of float
        (n, axes of the image).
    """

    def convert(position: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(image.world_to_data(layer.data_to_world(position)), dtype=float)

    zero = convert(np.zeros(layer.ndim))  # both transforms are affine, so that the axes' images determine them
    axes = np.array([convert(axis) - zero for axis in np.eye(layer.ndim)])
    converted: NDArray[np.float64] = np.asarray(data, dtype=float).reshape(-1, layer.ndim) @ axes + zero
    return converted


def crop_placement(
    image: ImageLayer, plane: tuple[int, ...], origin: tuple[int, int], factor: float
) -> dict[str, NDArray[np.float64]]:
    """Return scale and translation of a reduced crop, so that its pixels lie on those of the image.

    Parameters
    ----------
    image : napari.layers.Image
        Layer that the crop lies on.
    plane : tuple of int
        Index of the crop along the leading axes.
    origin : (int, int)
        (y, x) of the first pixel of the crop, in level-0 pixels.
    factor : float
        Level-0 pixels per pixel of the crop; less than 1 for a magnified one.
    """
    middle = (factor - 1) / 2  # centre of a coarse pixel, in level-0 pixels
    return {
        "scale": np.asarray(image.scale) * (*(1.0,) * len(plane), factor, factor),
        "translate": translate_to(image, (*plane, origin[0] + middle, origin[1] + middle)),
    }
